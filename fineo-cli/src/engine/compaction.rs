//! Columnar files, made by this process or by the server that holds the stores.

use std::{path::PathBuf, time::Duration};

use fineo::{
    compact::{CompactOptions, CompactReport, TenantReport},
    core::{Error, TenantId},
};
use fineo_server::{
    client::{Method, Sent},
    http::operator::CompactRequest,
};

use super::Engine;
use crate::failure::Failure;

impl Engine {
    /// Makes columnar files; `show` hears of every tenant that is done.
    pub(crate) async fn compact(
        &self,
        asked: &CompactRequest,
        scratch: PathBuf,
        show: &(dyn Fn(&TenantReport) + Send + Sync),
    ) -> Result<CompactReport, Failure> {
        Ok(match self {
            Self::Own(fineo) => {
                let options = asked.options()?.with_scratch(Some(scratch));
                match asked.tenant.as_deref().filter(|_| asked.fresh) {
                    Some(tenant) => fineo.rebuild(&TenantId::new(tenant)?, asked.metric.as_deref(), options).await?,
                    None => fineo.compactor(options, None).run(show).await?,
                }
            }
            Self::Served(client) => {
                let sent = Sent::default().with_json(asked)?;
                let report: CompactReport = client.ask(Method::POST, "/operator/compact", sent).await?;
                report.tenants.iter().for_each(show);
                report
            }
        })
    }

    /// Makes columnar files again and again, until this is dropped.
    pub(crate) async fn compact_and_watch(
        &self,
        asked: &CompactRequest,
        scratch: PathBuf,
        every: Duration,
        show: &(dyn Fn(&Result<CompactReport, Error>) + Send + Sync),
    ) -> Result<(), Failure> {
        match self {
            Self::Own(fineo) => {
                // Whoever drops this stops it; the sender only has to live as long.
                let (_never, stop) = tokio::sync::watch::channel(false);
                let options = asked.options()?.with_scratch(Some(scratch));
                let options = options.with_few_records(CompactOptions::FEW_RECORDS);
                fineo.compactor(options, None).watch(every, stop, show).await;
                Ok(())
            }
            Self::Served(_) => Err(Failure::Misuse(
                "the server that holds the directory compacts by itself (compaction.every_seconds of its configuration)"
                    .to_owned(),
            )),
        }
    }
}
