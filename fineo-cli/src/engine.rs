//! The one place where the program calls Fineo.

use std::{sync::Arc, time::Duration};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use fineo::{
    Fineo, TableStatus,
    compact::{CompactOptions, CompactReport, TenantReport},
    core::{Cover, Error, ErrorKind, SystemEntropy, TenantId, TimeRange, Timestamp, archive::Stage},
    ingest::{ImportOptions, ImportReport, ImportSource, ReplayMode, ReplayReport, ReplayRequest, TenantCounts},
    query::{QueryLimits, QueryStream},
    schema::{
        Applied, Change, ChangeId, ChangeRequest, Declaration, Found, HistoryEntry, Metric, NameStats, Plan,
        Suggestion, TenantSchema,
    },
};

use serde_json::json;

use crate::{
    args::{Mode, ReplayArgs, StageName},
    catalog::{Catalog, metric_entry, own_settings},
    failure::{Failure, say},
    ingest::Counts,
    output::screened,
    place::Place,
    report::Report,
    stop::unless_stopped,
};

/// How long a wait for the stages lasts before their progress is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How many looks without any progress make a failure.
const LOOKS_MAX: u32 = 240;
/// How many of the events that were refused at the edge, which have no row among the errors, are named.
const REFUSALS_SHOWN: usize = 5;
/// A person waits as long as he likes: Ctrl-C is the limit of a query's time and size.
const QUERY_TIME_MAX: Duration = Duration::from_secs(30 * 24 * 3_600);

/// Knows which store to open, and for what.
#[derive(Debug)]
pub(crate) struct Opener {
    /// Where the store is.
    pub(crate) place: Place,
    /// Whether what will be done only looks.
    pub(crate) is_read_only: bool,
}

impl Opener {
    /// Opens the store; the directory is made when it is not there.
    pub(crate) async fn open(&self) -> Result<Engine, Failure> {
        if let Place::Directory(directory) = &self.place
            && self.is_read_only
            && !directory.exists()
        {
            say(&format!("note: {} is new and empty; --data-dir names another", directory.display()));
        }
        let limits = QueryLimits::default()
            .with_time_max(QUERY_TIME_MAX)
            .with_result_rows_max(u64::MAX)
            .with_result_bytes_max(u64::MAX);
        let builder = self.place.builder()?.with_query_limits(limits);
        Ok(Engine { fineo: builder.open().await? })
    }
}

/// An open store.
#[derive(Debug)]
pub(crate) struct Engine {
    fineo: Fineo,
}

impl Engine {
    /// Starts a statement.
    pub(crate) async fn sql(&self, tenant: &TenantId, statement: &str) -> Result<Rows, Failure> {
        Ok(Rows(self.fineo.sql(tenant, statement).await?))
    }

    /// What the tenant has, by name.
    pub(crate) async fn catalog(&self, tenant: &TenantId) -> Result<Catalog, Failure> {
        let handle = self.fineo.schema(tenant);
        let snapshot = handle.snapshot().await?;
        let metrics = snapshot.metrics().map(|metric| metric_entry(metric, &handle.seen(metric)));
        Ok(Catalog { metrics: metrics.collect() })
    }

    /// The tenant's schema as it is now.
    pub(crate) async fn snapshot(&self, tenant: &TenantId) -> Result<Arc<TenantSchema>, Failure> {
        Ok(self.fineo.schema(tenant).snapshot().await?)
    }

    /// Makes a change in the name of whoever is logged in.
    pub(crate) async fn apply(&self, tenant: &TenantId, changes: Vec<Change>) -> Result<Applied, Failure> {
        let handle = self.fineo.schema(tenant);
        Ok(match changes.as_slice() {
            [Change::DeleteMetric { metric, .. }] => handle.delete_metric(metric).await?,
            [Change::DeleteField { metric, field, .. }] => handle.delete_field(metric, field).await?,
            _ => handle.request(request(changes)).await?,
        })
    }

    /// What it takes to make the schema what a file says.
    pub(crate) async fn plan(&self, tenant: &TenantId, declaration: &str) -> Result<Plan, Failure> {
        Ok(self.fineo.schema(tenant).plan(declaration).await?)
    }

    /// Carries out a plan, unless the schema has changed since.
    pub(crate) async fn apply_plan(&self, tenant: &TenantId, plan: Plan) -> Result<Applied, Failure> {
        let request = request(plan.changes).with_base(plan.base);
        Ok(self.fineo.schema(tenant).request(request).await?)
    }

    /// The schema as a file.
    pub(crate) async fn export(&self, tenant: &TenantId) -> Result<Declaration, Failure> {
        Ok(self.fineo.schema(tenant).export().await?)
    }

    /// Makes the inverse of a change.
    pub(crate) async fn undo(&self, tenant: &TenantId, change: &ChangeId) -> Result<Applied, Failure> {
        Ok(self.fineo.schema(tenant).undo(change).await?)
    }

    /// Every change, oldest first.
    pub(crate) async fn history(&self, tenant: &TenantId) -> Result<Vec<HistoryEntry>, Failure> {
        Ok(self.fineo.schema(tenant).history().await?)
    }

    /// How a metric's events are read, where it says so itself, one line each.
    pub(crate) async fn settings_of(&self, tenant: &TenantId, name: &str) -> Result<Vec<String>, Failure> {
        let snapshot = self.snapshot(tenant).await?;
        Ok(snapshot.metric_named(name).map(|metric| own_settings(metric)).unwrap_or_default())
    }

    /// The undeclared names of one metric or of all, each with the name of its metric.
    pub(crate) async fn undeclared(
        &self,
        tenant: &TenantId,
        only: Option<&str>,
    ) -> Result<Vec<(Arc<str>, NameStats)>, Failure> {
        let handle = self.fineo.schema(tenant);
        let snapshot = handle.snapshot().await?;
        let mut undeclared = Vec::new();
        for metric in chosen(&snapshot, only)? {
            let seen = handle.seen(metric);
            let stats = seen.stats().iter().filter(|stats| metric.field_named(&stats.name).is_none());
            undeclared.extend(stats.map(|stats| (metric.name().clone(), stats.clone())));
        }
        Ok(undeclared)
    }

    /// What could be declared, aliased or merged.
    pub(crate) async fn suggestions(&self, tenant: &TenantId) -> Result<Vec<Suggestion>, Failure> {
        Ok(self.fineo.schema(tenant).suggest().await?)
    }

    /// Applies a suggestion.
    pub(crate) async fn apply_suggestion(&self, tenant: &TenantId, id: &str) -> Result<Applied, Failure> {
        Ok(self.fineo.schema(tenant).apply_suggestion(id).await?)
    }

    /// Takes in `source` and waits until all that was accepted can be asked; `show` hears of how far it is.
    pub(crate) async fn import(
        &self,
        source: ImportSource,
        options: ImportOptions,
        show: &(dyn Fn(&Counts) + Send + Sync),
    ) -> Result<Counts, Failure> {
        // What an earlier process left under way must not be counted as this import's.
        self.wait_until_visible(None, &|| {}).await?;
        let before = self.counted();
        let so_far = |report: &ImportReport| {
            let counts = Counts::of(report, &self.counted().since(&before));
            show(&counts);
        };
        let report = self.fineo.import(source, options, &so_far).await?;
        for (index, message) in report.first_rejections.iter().take(REFUSALS_SHOWN) {
            say(&format!("refused, and not kept: event {} of the file: {}", index + 1, screened(message)));
        }
        let counts = || Counts::of(&report, &self.counted().since(&before));
        self.wait_until_visible(Some(&report.token), &|| show(&counts())).await?;
        Ok(counts())
    }

    /// Waits until everything up to `token`, or everything accepted so far, can be asked, as long as there is progress.
    async fn wait_until_visible(&self, token: Option<&Cover>, look: &(dyn Fn() + Send + Sync)) -> Result<(), Failure> {
        let mut looks = 0;
        let mut seen = self.counted();
        loop {
            let waited = match token {
                Some(token) => self.fineo.wait_until_visible(token, LOOK_EVERY).await,
                None => self.fineo.pipeline().drain(LOOK_EVERY).await,
            };
            let error = match waited {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::LimitExceeded => error,
                Err(error) => return Err(error.into()),
            };
            look();
            let now = self.counted();
            looks = if now == seen { looks + 1 } else { 0 };
            seen = now;
            if looks >= LOOKS_MAX {
                return Err(error.into());
            }
        }
    }

    /// What became of all tenants' events since the store was opened.
    fn counted(&self) -> TenantCounts {
        let mut sum = TenantCounts::default();
        for counts in self.fineo.pipeline().counters().all().into_values() {
            sum.accepted += counts.accepted;
            sum.rows += counts.rows;
            sum.duplicates += counts.duplicates;
            sum.conflicts += counts.conflicts;
            sum.failed += counts.failed;
            for (code, count) in counts.rejected {
                *sum.rejected.entry(code).or_default() += count;
            }
        }
        for (code, count) in self.fineo.pipeline().counters().without_tenant() {
            *sum.rejected.entry(code).or_default() += count;
        }
        sum
    }

    /// Closes the store and passes `result` on; a failure to close counts when there was none before.
    pub(crate) async fn finish<T>(self, result: Result<T, Failure>) -> Result<T, Failure> {
        let closed = unless_stopped(async { Ok(self.fineo.close().await?) }).await;
        let value = result?;
        closed.map(|()| value)
    }
}

/// Asks for `changes` in the name of whoever is logged in.
fn request(changes: Vec<Change>) -> ChangeRequest {
    let request = ChangeRequest::new(ChangeId::random(&SystemEntropy::new()), changes);
    match std::env::var("USER").ok().filter(|user| !user.is_empty()) {
        Some(user) => request.with_author(user),
        None => request,
    }
}

fn chosen<'a>(snapshot: &'a TenantSchema, only: Option<&str>) -> Result<Vec<&'a Arc<Metric>>, Error> {
    let Some(name) = only else {
        return Ok(snapshot.metrics().collect());
    };
    match snapshot.find_metric(name, false) {
        Found::One(metric) => Ok(vec![metric]),
        Found::Ambiguous(names) => Err(Error::invalid("two metrics are meant").with("names", names.join(" "))),
        Found::None { near } => {
            Err(Error::not_found("no such metric").with("metric", name).with("near", near.join(" ")))
        }
    }
}

/// The rows of a statement, batch by batch.
#[derive(Debug)]
pub(crate) struct Rows(QueryStream);

impl Rows {
    /// The columns.
    pub(crate) fn schema(&self) -> SchemaRef {
        self.0.schema().clone()
    }

    /// The next rows; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<RecordBatch>, Failure> {
        Ok(self.0.next_batch().await?)
    }
}

/// Reports and replay.
impl Engine {
    /// Sends archived events through a stage again.
    pub(crate) async fn replay(&self, args: &ReplayArgs) -> Result<Report, Failure> {
        let stage = match args.stage {
            StageName::Raw => Stage::Raw,
            StageName::Staged => Stage::Staged,
        };
        let mode = match args.mode {
            Mode::ReDerive => ReplayMode::ReDerive,
            Mode::AsRecorded => ReplayMode::AsRecorded,
        };
        let time = TimeRange {
            from: args.from.map_or(TimeRange::ALL.from, Timestamp::micros),
            to: args.to.map_or(TimeRange::ALL.to, Timestamp::micros),
        };
        let request = ReplayRequest::new(stage, args.tenant.clone())
            .with_mode(mode)
            .with_metric(args.metric.clone())
            .with_time(time)
            .with_errors_only(args.errors_only);
        let report = self.fineo.replay(request).await?;
        replay_report(&report)
    }

    /// What is stored, and how far the stages have come.
    pub(crate) async fn status(&self) -> Result<Report, Failure> {
        let status = self.fineo.status().await?;
        Report::new(status.to_string(), &status)
    }

    /// The columnar tables.
    pub(crate) async fn tables(&self, tenant: &TenantId) -> Result<Vec<TableStatus>, Failure> {
        Ok(self.fineo.tables(tenant).await?)
    }

    /// Makes columnar files; `show` hears of every tenant that is done.
    pub(crate) async fn compact(
        &self,
        options: CompactOptions,
        show: &(dyn Fn(&TenantReport) + Send + Sync),
    ) -> Result<CompactReport, Failure> {
        Ok(self.fineo.compactor(options, None).run(show).await?)
    }

    /// Makes columnar files again and again, until this is dropped.
    pub(crate) async fn compact_and_watch(
        &self,
        options: CompactOptions,
        every: Duration,
        show: &(dyn Fn(&Result<CompactReport, Error>) + Send + Sync),
    ) {
        // Whoever drops this stops it; the sender only has to live as long.
        let (_never, stop) = tokio::sync::watch::channel(false);
        self.fineo.compactor(options, None).watch(every, stop, show).await;
    }

    /// What the program and its stores can do.
    pub(crate) fn capabilities(&self) -> Result<Report, Failure> {
        let capabilities = self.fineo.capabilities();
        Report::new(capabilities.to_string(), &capabilities)
    }
}

fn replay_report(report: &ReplayReport) -> Result<Report, Failure> {
    let rejected: u64 = report.rejected.values().sum();
    let mut text = format!(
        "replayed {}, passed {}, rejected {rejected}, repaired {}, new rows {}, rows known already {}\n",
        report.events, report.passed, report.repaired, report.rows, report.duplicates
    );
    for (code, count) in &report.rejected {
        text.push_str(&format!("  rejected {count} × {code}\n"));
    }
    let value = json!({
        "events": report.events,
        "passed": report.passed,
        "rejected": rejected,
        "rejected_by_code": report.rejected,
        "repaired": report.repaired,
        "rows": report.rows,
        "duplicates": report.duplicates,
    });
    Report::new(text, &value)
}
