//! A tenant's data in memory, and the one line that knows the API.

use std::sync::Arc;

use arrow::util::display::{ArrayFormatter, FormatOptions};
use fineo_backend_memory::{MemoryNearline, MemoryRepo};
use fineo_core::{
    ContentHash, EventId, ManualClock, MetricId, NearlineStore, Position, Result, ShardId, TenantId, Timestamp,
    nearline::{RowHead, Rows},
};
use fineo_query::{Engine, EngineParts, Parameter, QueryLimits};
use fineo_schema::{Change, ChangeId, ChangeRequest, Discovery, SchemaStore};

/// A cell: a stored name and its text.
pub(crate) type Cell = (&'static str, &'static str);

pub(crate) struct Desk {
    pub(crate) engine: Engine,
    pub(crate) nearline: Arc<MemoryNearline>,
    pub(crate) clock: Arc<ManualClock>,
    repo: Arc<MemoryRepo>,
    schemas: SchemaStore,
    discovery: Arc<Discovery>,
    written: u64,
    changes: u64,
}

/// 2026-01-01T00:00:00Z.
pub(crate) const NEW_YEAR: i64 = 1_767_225_600_000_000;

impl Desk {
    pub(crate) fn new() -> Self {
        Self::with_limits(QueryLimits::default())
    }

    pub(crate) fn with_limits(limits: QueryLimits) -> Self {
        let repo = Arc::new(MemoryRepo::new());
        let clock = Arc::new(ManualClock::new(Timestamp::from_micros(NEW_YEAR + 3_600_000_000).unwrap()));
        let schemas = SchemaStore::new(repo.clone(), clock.clone());
        let discovery = Arc::new(Discovery::new(repo.clone(), clock.clone()));
        let nearline = Arc::new(MemoryNearline::new());
        let parts = EngineParts {
            nearline: nearline.clone(),
            schemas: schemas.clone(),
            discovery: Arc::clone(&discovery),
            tables: None,
            clock: clock.clone(),
        };
        let engine = Engine::new(parts, limits);
        Self { engine, nearline, clock, repo, schemas, discovery, written: 0, changes: 0 }
    }

    /// Makes `changes` to the schema of `tenant`.
    pub(crate) async fn apply(&mut self, tenant: &str, changes: Vec<Change>) {
        let schemas = self.schemas.clone();
        self.apply_to(&schemas, tenant, changes).await;
    }

    /// As [`Desk::apply`], in another process.
    pub(crate) async fn apply_elsewhere(&mut self, tenant: &str, changes: Vec<Change>) {
        let schemas = SchemaStore::new(self.repo.clone(), self.clock.clone());
        self.apply_to(&schemas, tenant, changes).await;
    }

    async fn apply_to(&mut self, schemas: &SchemaStore, tenant: &str, changes: Vec<Change>) {
        self.changes += 1;
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.changes.to_be_bytes());
        let request = ChangeRequest::new(ChangeId::of_bytes(id), changes);
        schemas.apply(&TenantId::new(tenant).unwrap(), request).await.unwrap();
    }

    /// Stores rows of `metric` (any of its names), one second apart from [`NEW_YEAR`] on.
    pub(crate) async fn rows(&mut self, tenant: &str, metric: &str, rows: &[&[Cell]]) {
        let id = TenantId::new(tenant).unwrap();
        let schema = self.schemas.discover_metrics(&id, &[metric.into()]).await.unwrap();
        let metric_id = schema.metric_named(metric).unwrap().id().clone();
        self.rows_of(tenant, &metric_id, metric, rows).await;
    }

    pub(crate) async fn rows_of(&mut self, tenant: &str, metric_id: &MetricId, alias: &str, rows: &[&[Cell]]) {
        let id = TenantId::new(tenant).unwrap();
        let mut packed = Rows::new(ShardId::new("s0").unwrap());
        for (index, cells) in rows.iter().enumerate() {
            self.written += 1;
            let mut event = [0; 16];
            event[..8].copy_from_slice(&self.written.to_be_bytes());
            let at = cells.iter().find(|(name, _)| *name == "timestamp").and_then(|(_, text)| text.parse().ok());
            let at = at.unwrap_or(NEW_YEAR + 1_000_000 * i64::try_from(index).unwrap());
            packed.row(
                RowHead {
                    timestamp: Timestamp::from_micros(at).unwrap(),
                    id: EventId(event),
                    content: ContentHash(event),
                    position: Position::from(self.written),
                    ingested_at: Timestamp::from_micros(NEW_YEAR).unwrap(),
                },
                alias,
            );
            for (name, text) in cells.iter().filter(|(name, _)| *name != "timestamp") {
                packed.cell(name, text);
            }
        }
        self.discovery.observe(&id, metric_id, &packed, &|_| true);
        for outcome in self.nearline.write(&id, metric_id, packed).await {
            assert!(matches!(outcome, fineo_core::Outcome::Done(_)), "{outcome:?}");
        }
    }

    /// The answer as text: one line per row, values separated by `|`, null as `-`.
    pub(crate) async fn try_ask(&self, tenant: &str, sql: &str, parameters: &[Parameter]) -> Result<String> {
        let session = self.engine.session(&TenantId::new(tenant).unwrap());
        let stream = session.query(sql, parameters).await?;
        let header: Vec<String> = stream.schema().fields().iter().map(|field| field.name().clone()).collect();
        let mut lines = vec![header.join("|")];
        for batch in stream.collect().await? {
            for row in 0..batch.num_rows() {
                let options = FormatOptions::default().with_null("-");
                let values: Vec<String> = batch
                    .columns()
                    .iter()
                    .map(|column| ArrayFormatter::try_new(column, &options).unwrap().value(row).to_string())
                    .collect();
                lines.push(values.join("|"));
            }
        }
        Ok(lines.join("\n"))
    }

    /// Checks the answer to `sql`: header and rows as in [`Desk::try_ask`].
    pub(crate) async fn check(&self, sql: &str, expected: &[&str]) {
        // The second time a plan is there already, perhaps.
        for _ in 0..2 {
            match self.try_ask("acme", sql, &[]).await {
                Ok(answer) => assert_eq!(answer, expected.join("\n"), "{sql}"),
                Err(error) => panic!("{sql}: {error:?}"),
            }
        }
    }

    /// Checks that `sql` fails with `code`, and hands out the message.
    pub(crate) async fn refuses(&self, sql: &str, code: &str) -> String {
        match self.try_ask("acme", sql, &[]).await {
            Ok(answer) => panic!("{} answered {answer}", &sql[..sql.len().min(200)]),
            Err(error) => {
                let shown = error.to_string();
                let found = error.context().iter().find(|(name, _)| *name == "code").map(|(_, code)| code.clone());
                assert_eq!(found.as_deref(), Some(code), "{}: {shown}", &sql[..sql.len().min(200)]);
                shown
            }
        }
    }

    pub(crate) async fn explain(&self, sql: &str) -> String {
        self.engine.session(&TenantId::new("acme").unwrap()).explain(sql).await.unwrap()
    }
}

/// A declared field.
pub(crate) fn field(metric: &str, name: &str, field_type: &str, aliases: &[&str]) -> Change {
    Change::AddField {
        metric: metric.to_owned(),
        name: name.to_owned(),
        field_type: field_type.to_owned(),
        aliases: aliases.iter().map(|alias| (*alias).to_owned()).collect(),
        unit: None,
    }
}
