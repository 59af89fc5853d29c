//! Tells programs of the operator's and of tenants what was found, by a request each: at least once, and not again and again.

mod news;
mod outbox;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use fineo::{
    Clock, Error, Fineo, Result, SchemaRepo, TenantId,
    compact::{FailedTenant, MetricReport, Notifier, TenantReport},
    core::repo::{Compared, Keep, Subject, Version, Write},
    ingest::TenantCounts,
};
use serde_json::{Value, json};

use crate::{NotifyConfig, Shared, Shutdown};
use outbox::Outbox;
pub use outbox::{Notice, Recipient};

/// How often it is looked whether there is something to be told.
const EVERY: Duration = Duration::from_secs(5);
/// How long an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// What waits takes so many bytes at most; the oldest give way. The repository takes no more than twice as much at once.
const OUTBOX_BYTES_MAX: usize = 8 << 20;
/// How often a lost race is run again.
const TRIES_MAX: u32 = 16;

/// Notices on their way to webhooks. They are kept in the schema repository until somebody took them, so that neither an
/// outage nor a restart loses one. Cloning is cheap.
#[derive(Clone)]
pub struct Notices {
    repo: Arc<dyn SchemaRepo>,
    clock: Arc<dyn Clock>,
    config: Arc<NotifyConfig>,
    client: reqwest::Client,
}

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notices").finish_non_exhaustive()
    }
}

impl Notices {
    /// Notices that go where `config` says; none when it says nowhere.
    ///
    /// # Errors
    ///
    /// `Internal` when no request can be made at all.
    pub fn new(repo: Arc<dyn SchemaRepo>, clock: Arc<dyn Clock>, config: NotifyConfig) -> Result<Option<Self>> {
        if config.tenant_url.is_none() && config.operator_url.is_none() {
            return Ok(None);
        }
        // Who is sent elsewhere has not taken the notice, and neither it nor the token is for anybody else.
        let client = reqwest::Client::builder().timeout(ANSWER_MAX).redirect(reqwest::redirect::Policy::none()).build();
        let client = client.map_err(|source| Error::internal("no requests can be made").with_source(source))?;
        Ok(Some(Self { repo, clock, config: Arc::new(config), client }))
    }

    fn url(&self, recipient: Recipient) -> Option<&str> {
        match recipient {
            Recipient::Tenant => self.config.tenant_url.as_deref(),
            Recipient::Operator => self.config.operator_url.as_deref(),
        }
    }

    /// Takes a notice in, unless the same one waits or was taken within the hour. Once this is done it will be sent.
    ///
    /// # Errors
    ///
    /// A failure of the repository.
    pub async fn add(&self, notice: Notice) -> Result<()> {
        if self.url(notice.to).is_none() {
            return Ok(());
        }
        self.change(|outbox, now| outbox.add(notice.clone(), now)).await
    }

    /// Sends every notice that is due, each once; answers how many were taken.
    ///
    /// # Errors
    ///
    /// A failure of the repository. A webhook that does not take a notice is asked again later.
    pub async fn send_due(&self) -> Result<usize> {
        let now = self.clock.now().micros();
        let (_, outbox) = self.read().await?;
        let mut taken = 0;
        for notice in outbox.due(now) {
            let outcome = self.send(notice).await;
            if let Err(problem) = &outcome {
                tracing::warn!(kind = %notice.kind, tenant = %notice.tenant, %problem, "a webhook did not take a notice");
            }
            let is_taken = outcome.is_ok();
            self.change(|outbox, now| outbox.answered(&notice.id, is_taken, now)).await?;
            taken += usize::from(is_taken);
        }
        Ok(taken)
    }

    async fn send(&self, notice: &Notice) -> std::result::Result<(), String> {
        let Some(url) = self.url(notice.to) else { return Ok(()) };
        let body = serde_json::to_vec(&notice.body()).map_err(|error| error.to_string())?;
        let mut request = self.client.post(url).header("content-type", "application/json");
        request = request.header("idempotency-key", format!("{}-{}", notice.id, notice.at));
        if let Some(token) = &self.config.bearer_token {
            request = request.bearer_auth(token);
        }
        // Without the address: it may hold a secret.
        let answer = request.body(body).send().await.map_err(|error| error.without_url().to_string())?;
        if answer.status().is_success() { Ok(()) } else { Err(format!("status {}", answer.status().as_u16())) }
    }

    async fn read(&self) -> Result<(Version, Outbox)> {
        match self.repo.latest(&subject()?).await? {
            None => Ok((Version::NONE, Outbox::default())),
            Some(found) => {
                let damaged = |source| Error::corrupt("the notices that wait cannot be read").with_source(source);
                Ok((found.version, serde_json::from_slice(&found.body).map_err(damaged)?))
            }
        }
    }

    /// Changes what is kept; `change` says whether there was something to be changed.
    async fn change(&self, change: impl Fn(&mut Outbox, i64) -> bool) -> Result<()> {
        for _ in 0..TRIES_MAX {
            let (expected, mut outbox) = self.read().await?;
            let now = self.clock.now();
            if !change(&mut outbox, now.micros()) {
                return Ok(());
            }
            let written = |outbox: &Outbox| {
                let body = serde_json::to_vec(outbox);
                body.map_err(|source| Error::internal("notices cannot be written").with_source(source))
            };
            let mut body = written(&outbox)?;
            if body.len() > OUTBOX_BYTES_MAX {
                outbox.give_up(body.len() - OUTBOX_BYTES_MAX);
                body = written(&outbox)?;
            }
            let write = Write { subject: subject()?, expected, body: Some(body.into()) };
            match self.repo.append(vec![write], now).await.into_result()? {
                Compared::Written => return Ok(()),
                Compared::Conflict { .. } => {}
            }
        }
        Err(Error::unavailable("others change the notices at the same time"))
    }
}

fn subject() -> Result<Subject> {
    Subject::system("outbox/notices", Keep::Latest)
}

#[async_trait]
impl Notifier for Notices {
    async fn schema_news(&self, report: &TenantReport) -> Result<()> {
        let news: Vec<&MetricReport> = report.metrics.iter().filter(|metric| metric.is_news()).collect();
        // The same names with other counts are no news.
        let same: Vec<Value> = news
            .iter()
            .map(|metric| {
                let new: BTreeSet<_> = metric.new_names.iter().map(|name| (&name.name, &name.value_type)).collect();
                let conflicts: BTreeSet<_> = metric.conflicts.iter().map(|conflict| &conflict.name).collect();
                json!([metric.id, new, conflicts])
            })
            .collect();
        let notice = Notice::new(Recipient::Tenant, "schema_news", &report.tenant, &json!(same));
        self.add(notice.with_detail(news::detail_of(&news))).await
    }

    async fn commit_failed(&self, failed: &FailedTenant) -> Result<()> {
        // Two metrics may fail with the same words.
        let same = json!([failed.metric, failed.error]);
        let notice = Notice::new(Recipient::Operator, "commit_failed", &failed.tenant, &same);
        let detail = match &failed.metric {
            Some(metric) => json!({ "metric": metric, "error": failed.error }),
            None => json!({ "error": failed.error }),
        };
        self.add(notice.with_detail(detail)).await
    }
}

/// Sends notices until the doors close, and looks for events that were rejected.
pub(crate) async fn keep_telling(notices: Notices, shared: Shared, shutdown: Shutdown) -> Result<()> {
    let mut told = shared.fineo.pipeline().counters().all();
    loop {
        tokio::select! {
            // What was rejected since the last look is told after the restart.
            () = shutdown.requested() => return tell_rejected(&notices, &shared.fineo, &mut told).await,
            () = shared.clock.sleep(EVERY) => {}
        }
        let told_now = async {
            tell_rejected(&notices, &shared.fineo, &mut told).await?;
            notices.send_due().await
        };
        if let Err(error) = told_now.await {
            tracing::warn!(%error, "notices wait");
        }
    }
}

/// Takes in a notice for each tenant whose events were rejected, or failed, since the last one.
async fn tell_rejected(notices: &Notices, fineo: &Fineo, told: &mut BTreeMap<TenantId, TenantCounts>) -> Result<()> {
    for (tenant, counts) in fineo.pipeline().counters().all() {
        let before = told.get(&tenant).cloned().unwrap_or_default();
        let new = counts.since(&before);
        if !new.rejected.is_empty() {
            let codes: Vec<&str> = new.rejected.keys().copied().collect();
            let notice = Notice::new(Recipient::Tenant, "malformed", tenant.as_str(), &json!(codes));
            let events = json!({ "events": new.rejected_total(), "by_code": new.rejected, "table": "errors.stream" });
            notices.add(notice.with_detail(events)).await?;
        }
        if new.failed > 0 {
            let notice = Notice::new(Recipient::Operator, "events_failed", tenant.as_str(), &Value::Null);
            notices.add(notice.with_detail(json!({ "events": new.failed, "table": "errors.stream" }))).await?;
        }
        told.insert(tenant, counts);
    }
    Ok(())
}
