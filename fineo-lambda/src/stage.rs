//! A stage as a function: a batch of a shard's records in, the first record to come again out.

use std::{sync::Arc, time::Duration};

use aws_lambda_events::{
    event::kinesis::{KinesisEvent, KinesisEventRecord},
    streams::KinesisEventResponse,
};
use bytes::Bytes;
use fineo_backend_aws::{delivery, position};
use fineo_core::{Clock, Error, Result, ShardId, archive::Stage, stream::Delivery};
use fineo_ingest::{BatchDriver, Counters, PipelineOptions, PipelineParts};

/// Carries one stage.
#[derive(Debug)]
pub struct StageFunction {
    driver: BatchDriver,
    stage: Stage,
    clock: Arc<dyn Clock>,
}

impl StageFunction {
    /// Carries `stage` over `parts`.
    pub fn new(parts: PipelineParts, options: PipelineOptions, stage: Stage) -> Self {
        let clock = Arc::clone(&parts.clock);
        Self { driver: BatchDriver::new(parts, options, stage), stage, clock }
    }

    /// What became of events since the function started.
    pub fn counters(&self) -> &Counters {
        self.driver.counters()
    }

    /// Passes the records of `event` on and answers within `within`: which record of each shard is the first that must
    /// come again, if any.
    ///
    /// # Errors
    ///
    /// `Unavailable` when every record must: a mapping hears that even where it was not told to report failures of items.
    pub async fn call(&self, event: KinesisEvent, within: Duration) -> Result<KinesisEventResponse> {
        let mut response = KinesisEventResponse::default();
        let mut is_any_done = event.records.is_empty();
        let begun = self.clock.now();
        for of_shard in event.records.chunk_by(|one, other| shard_text(one) == shard_text(other)) {
            let spent = u64::try_from(self.clock.now().micros() - begun.micros()).unwrap_or(0);
            let left = within.saturating_sub(Duration::from_micros(spent));
            let first = self.pass(of_shard, left).await?;
            let all = of_shard.first().map(|record| &record.kinesis.sequence_number);
            is_any_done = is_any_done || first.is_none() || first.as_ref() != all;
            if let Some(first) = first {
                response.add_failure(first);
            }
        }
        if is_any_done {
            return Ok(response);
        }
        Err(Error::unavailable("no record was passed on, all must come again").with("stage", self.stage))
    }

    /// Passes the records of one shard on; the sequence number of the first that must come again.
    async fn pass(&self, records: &[KinesisEventRecord], within: Duration) -> Result<Option<String>> {
        let Some(first) = records.first() else { return Ok(None) };
        let shard = ShardId::new(shard_text(first))?;
        let mut batch = Vec::with_capacity(records.len());
        let mut numbers = Vec::with_capacity(records.len());
        // The first record that cannot even be passed over, and those behind it.
        let mut held_back = None;
        for record in records {
            let number = record.kinesis.sequence_number.clone();
            match self.read(&shard, record).await {
                Ok(Some(delivery)) => {
                    batch.push(delivery);
                    numbers.push(number);
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(%error, stage = %self.stage, %shard, "a record is held back");
                    held_back = Some(number);
                    break;
                }
            }
        }
        if batch.is_empty() {
            return Ok(held_back);
        }
        let report = self.driver.pass(&shard, &batch, within).await;
        let (done, redelivered) = (report.done, report.redelivered);
        match &report.failure {
            None => tracing::info!(stage = %self.stage, %shard, records = done, redelivered, "passed on"),
            Some(error) => {
                let (stage, records) = (self.stage, batch.len());
                tracing::error!(%error, %stage, %shard, records, done, redelivered, "the rest must come again");
            }
        }
        Ok(match report.failure {
            Some(_) => numbers.get(done).cloned().or(held_back),
            None => held_back,
        })
    }

    /// The delivery that `record` stands for; none when it is not ours and was passed over.
    async fn read(&self, shard: &ShardId, record: &KinesisEventRecord) -> Result<Option<Delivery>> {
        let number = &record.kinesis.sequence_number;
        let position = position(number)?;
        match delivery(&record.kinesis.partition_key, position, Bytes::copy_from_slice(&record.kinesis.data.0)) {
            Ok(delivery) => Ok(Some(delivery)),
            Err(error) => {
                tracing::error!(%error, %shard, number, "a record that is not ours is passed over");
                self.driver.pass_over(shard, position, &error.to_string()).await?;
                Ok(None)
            }
        }
    }
}

/// The shard of a record: its event id is `shardId-000000000000:49590338271490256608559692538361571095921575989136588898`.
fn shard_text(record: &KinesisEventRecord) -> &str {
    let id = record.event_id.as_deref().unwrap_or_default();
    id.rsplit_once(':').map_or(id, |(shard, _)| shard)
}
