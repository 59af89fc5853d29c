//! A running instance: what a program calls.

use std::{collections::HashSet, path::Path, sync::Arc, time::Duration};

use arrow::{array::AsArray, datatypes::DataType};
use bytes::Bytes;
use fineo_compact::FiledRows;
use fineo_core::{
    Clock, Cover, Entropy, Error, Result, TenantId,
    archive::{Restore, Stage},
};
use fineo_ingest::{
    ColdSegments, ImportOptions, ImportReport, ImportSource, Pipeline, Receipt, ReplayReport, ReplayRequest,
    RestoreProgress, SentReport, Speed, archived,
};
use fineo_query::{Engine, QueryLimits, QueryStream, Session, check_predicate};
use fineo_schema::{Discovery, SchemaStore};
use fineo_table::Tables;

use crate::{
    Builder, Capabilities, Parts, SchemaHandle, Status, TableStatus,
    condition::{at_its_place, with_condition},
};

/// How long the calls that take no time of their own wait.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// What has to be closed after the stages ended.
#[derive(Debug)]
pub(crate) enum Directory {
    None,
    #[cfg(feature = "local")]
    Local(fineo_backend_local::LocalDirectory),
}

/// A running instance of Fineo: stores, stages and SQL.
///
/// Dropping it is safe at any moment: what was acknowledged is there when it is opened again.
/// [`Fineo::close`] ends it in order, which makes the next start quicker.
#[derive(Debug)]
pub struct Fineo {
    pub(crate) parts: Parts,
    pub(crate) schemas: SchemaStore,
    pub(crate) discovery: Discovery,
    pub(crate) tables: Tables,
    pub(crate) engine: Engine,
    pub(crate) pipeline: Pipeline,
    pub(crate) directory: Directory,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
}

impl Fineo {
    /// An instance in memory: nothing outlives it.
    pub fn memory() -> Builder {
        Builder::memory()
    }

    /// An instance in one directory, made when it is not there.
    pub fn local(directory: impl AsRef<Path>) -> Builder {
        Builder::local(directory.as_ref())
    }

    /// An instance on AWS: Kinesis, DynamoDB and S3, made when they are not there. Any number of processes may work on
    /// one instance; leases in its repository part the shards among them.
    #[cfg(feature = "aws")]
    pub fn aws(options: fineo_backend_aws::AwsOptions) -> Builder {
        Builder::aws(options)
    }

    /// An instance on stores chosen by hand.
    pub fn with_parts(parts: Parts) -> Builder {
        Builder::parts(parts)
    }

    /// Takes in JSON events: an object, an array of objects, or objects one after another.
    ///
    /// Once this answers, every accepted event is as durable as the receipt says. What is wrong with an event that could
    /// be framed shows in `errors.stream`.
    ///
    /// # Errors
    ///
    /// When the stream could not be made durable; sending the events again is safe.
    pub async fn ingest(&self, tenant: &TenantId, body: impl Into<Bytes>) -> Result<Receipt> {
        self.pipeline.edge().ingest(tenant, body.into()).await
    }

    /// Takes in a source of any size, plain or packed, JSON or CSV; `on_progress` hears of every durable piece.
    ///
    /// # Errors
    ///
    /// As [`fineo_ingest::Edge::import`].
    pub async fn import(
        &self,
        source: ImportSource,
        options: ImportOptions,
        on_progress: &(dyn Fn(&ImportReport) + Send + Sync),
    ) -> Result<ImportReport> {
        self.pipeline.edge().import(source, options, on_progress).await
    }

    /// Completes once a query sees the events of `receipt`, as rows or as errors.
    ///
    /// # Errors
    ///
    /// `LimitExceeded` when that is not so within a minute.
    pub async fn wait_until_queryable(&self, receipt: &Receipt) -> Result<()> {
        self.wait_until_visible(receipt.token(), WAIT_MAX).await
    }

    /// As [`Fineo::wait_until_queryable`], for any positions of the raw stream and any time.
    ///
    /// # Errors
    ///
    /// `LimitExceeded` when that is not so in time.
    pub async fn wait_until_visible(&self, token: &Cover, within: Duration) -> Result<()> {
        self.pipeline.wait_until_queryable(token, within).await
    }

    /// Completes once a query sees everything that was accepted before this call.
    ///
    /// # Errors
    ///
    /// As [`Fineo::wait_until_queryable`].
    pub async fn wait_until_drained(&self) -> Result<()> {
        self.pipeline.drain(WAIT_MAX).await
    }

    /// A session of `tenant`, which sees that tenant's tables and no others.
    pub fn session(&self, tenant: &TenantId) -> Session {
        self.engine.session(tenant)
    }

    /// The bounds of each query.
    pub fn query_limits(&self) -> &QueryLimits {
        self.engine.limits()
    }

    /// Asks one question in SQL.
    ///
    /// # Errors
    ///
    /// What is wrong with the question, in the context `code` and `hint`; or a failure of a store.
    pub async fn sql(&self, tenant: &TenantId, sql: &str) -> Result<QueryStream> {
        self.session(tenant).query(sql, &[]).await
    }

    /// The schema of `tenant`, to be read and changed.
    pub fn schema(&self, tenant: &TenantId) -> SchemaHandle<'_> {
        SchemaHandle::new(self, tenant.clone())
    }

    /// Passes archived events through a stage again, into the live stores, idempotently.
    ///
    /// # Errors
    ///
    /// `Cold` when segments have to be restored first, see [`Fineo::restore_cold`]; when a segment cannot be read, or a failure
    /// of a store.
    pub async fn replay(&self, request: ReplayRequest) -> Result<ReplayReport> {
        self.pipeline.replay(request, &FiledRows(self.tables.clone())).await
    }

    /// The segments in a cold storage class that a replay of `request` would read.
    ///
    /// # Errors
    ///
    /// When the archive cannot be asked.
    pub async fn cold_segments(&self, request: &ReplayRequest) -> Result<ColdSegments> {
        self.pipeline.cold_segments(request).await
    }

    /// Has the store restore the cold segments that a replay of `request` would read, and completes once all are back, which
    /// takes hours; `on_progress` hears how many are. It may be dropped and called again at any time.
    ///
    /// # Errors
    ///
    /// `Invalid` for a pace that the class does not know, or when the archive cannot be asked.
    pub async fn restore_cold(
        &self,
        request: &ReplayRequest,
        restore: Restore,
        on_progress: &(dyn Fn(&RestoreProgress) + Send + Sync),
    ) -> Result<RestoreProgress> {
        self.pipeline.restore_cold(request, restore, on_progress).await
    }

    /// As [`Fineo::replay`], of the events whose open errors satisfy `predicate`: SQL over the columns of `errors.stream`.
    ///
    /// # Errors
    ///
    /// What is wrong with the predicate, or as [`Fineo::replay`].
    pub async fn replay_errors_where(&self, request: ReplayRequest, predicate: &str) -> Result<ReplayReport> {
        self.replay(self.errors_where(request, predicate).await?).await
    }

    /// `request` of the events whose open errors satisfy `predicate`.
    ///
    /// # Errors
    ///
    /// What is wrong with the predicate, or a failure of a store.
    pub async fn errors_where(&self, request: ReplayRequest, predicate: &str) -> Result<ReplayRequest> {
        check_predicate(predicate, self.query_limits())?;
        let statement = format!(
            "SELECT replay_pointer FROM errors.stream WHERE stage = '{}' AND repaired_at IS NULL AND",
            request.stage
        );
        let sql = with_condition(&statement, predicate);
        let asked = async { self.sql(&request.tenant, &sql).await?.collect().await };
        let mut pointers = HashSet::new();
        for batch in asked.await.map_err(|error| at_its_place(error, predicate))? {
            let texts = arrow::compute::cast(batch.column(0), &DataType::Utf8);
            let texts = texts.map_err(|source| Error::internal("pointers are texts").with_source(source))?;
            pointers.extend(texts.as_string::<i32>().iter().flatten().map(str::to_owned));
        }
        Ok(request.with_errors_only(true).with_pointers(Some(pointers)))
    }

    /// Sends the archived events of `request`, of its tenant that arrived in its time, to `other`, in their order and with
    /// their identity: sending them again makes no second row there. Completes once `other` answers them.
    ///
    /// # Errors
    ///
    /// As [`fineo_ingest::Pipeline::send_archived`], or `LimitExceeded` when `other` comes no further for a minute.
    pub async fn replay_into(&self, request: &ReplayRequest, other: &Self, speed: Speed) -> Result<SentReport> {
        let report = self.pipeline.send_archived(request, &*other.parts.raw, speed).await?;
        other.pipeline.wait_while_nearing(&report.positions, WAIT_MAX).await?;
        Ok(report)
    }

    /// What became of events since the start, how far the stages are, and what is stored.
    ///
    /// # Errors
    ///
    /// When a store cannot be reached.
    pub async fn status(&self) -> Result<Status> {
        Status::of(self).await
    }

    /// The columnar tables of `tenant`: where other programs find them, and how large they are.
    ///
    /// # Errors
    ///
    /// When a store cannot be reached, or a table is damaged.
    pub async fn tables(&self, tenant: &TenantId) -> Result<Vec<TableStatus>> {
        TableStatus::of(self, tenant).await
    }

    /// What the stores promise and where their limits are.
    pub fn capabilities(&self) -> Capabilities {
        Capabilities::of(&self.parts)
    }

    /// The stages, for what this type has no call for.
    pub fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// The stores, for what this type has no call for.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// The columnar tables, for what this type has no call for.
    pub fn open_tables(&self) -> &Tables {
        &self.tables
    }

    /// The names that events bore, declared or not.
    pub fn discovery(&self) -> &Discovery {
        &self.discovery
    }

    /// The last position of each shard of the stream that `stage` reads: that of the stream, or of what the stage archived of one that
    /// is empty since, as those of a restored instance are, or that is no longer listed.
    pub(crate) async fn last_positions(&self, stage: Stage) -> Result<Cover> {
        let stream = match stage {
            Stage::Raw => &self.parts.raw,
            Stage::Staged => &self.parts.staged,
        };
        let mut last = archived(&*self.parts.repo, &self.pipeline.options().name, stage).await?;
        for shard in stream.shards().await? {
            if let Some(tail) = stream.tail_from(&shard.id, last.last(&shard.id)).await? {
                last.advance(&shard.id, tail);
            }
        }
        Ok(last)
    }

    /// Drains the stages, makes everything durable and lets go of the stores.
    ///
    /// # Errors
    ///
    /// When something could not be made durable; what was acknowledged is there all the same.
    pub async fn close(self) -> Result<()> {
        let stopped = self.pipeline.stop().await;
        let closed = match self.directory {
            Directory::None => Ok(()),
            #[cfg(feature = "local")]
            Directory::Local(directory) => directory.close().await,
        };
        stopped.and(closed)
    }
}
