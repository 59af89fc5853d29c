//! Named consumers: read a stream beside its stage, at positions of their own.

use std::{fmt, sync::Arc};

use fineo_core::{
    Error, Position, Result, ShardId,
    archive::Stage,
    stream::{Delivery, ReadFrom},
};
use futures::{TryStreamExt, stream::BoxStream};

use crate::{
    Pipeline,
    driver::{
        checkpoint::{self, Checkpoint},
        lease::{self, Claim, Claimed, Lease},
        parts::Shared,
    },
};

/// A named consumer's place in one shard of the stream that a stage reads.
///
/// # Guarantees
///
/// 1. It receives every delivery behind the position that it committed last, in order, at least once.
/// 2. What it has not committed is not trimmed; [`Tap::end`] gives that up.
/// 3. It delays neither the stage nor other consumers.
/// 4. A tap that was opened again elsewhere can no longer commit.
///
/// Payloads are those of `docs/formats/envelope.md`. A tap sees every tenant's: it is the operator's.
pub struct Tap {
    shared: Arc<Shared>,
    lease: Lease,
    checkpoint: Checkpoint,
    deliveries: BoxStream<'static, Result<Vec<Delivery>>>,
}

impl Pipeline {
    /// Opens the tap of `consumer` on `shard` of the stream that `stage` reads: where it committed last, or at the
    /// oldest entry that is left.
    ///
    /// # Errors
    ///
    /// `Invalid` when `consumer` is not 1–64 of `a-z0-9-` or is `stage`, `Unavailable` when another process has the
    /// tap, or a failure of the repository.
    pub async fn tap(&self, stage: Stage, shard: &ShardId, consumer: &str) -> Result<Tap> {
        let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !(1..=64).contains(&consumer.len()) || !consumer.bytes().all(legal) || consumer == "stage" {
            let message = "not the name of a consumer: 1-64 of a-z 0-9 -, and not `stage`";
            return Err(Error::invalid(message).with("consumer", consumer));
        }
        let shared = Arc::clone(self.shared());
        let (parts, options) = (&shared.parts, &shared.options);
        let leased = lease::subject(&options.name, &format!("{stage}/{consumer}"), shard)?;
        let claim = Claim { owner: &shared.owner, hold_for: options.lease_for, at_once: options.is_alone };
        let mut lease = match Lease::claim(&*parts.repo, leased, claim, parts.clock.now()).await? {
            Claimed::Held(lease) => lease,
            Claimed::Taken(until) => {
                return Err(Error::unavailable("another process has this tap").with("until", until));
            }
        };
        let subject = checkpoint::subject(&options.name, stage.as_str(), consumer, shard)?;
        let mut checkpoint = Checkpoint::read(&*parts.repo, subject).await?;
        let position = checkpoint.position;
        // Registers the consumer, so that trimming waits for it, and fences whoever had the tap before.
        checkpoint.advance(&*parts.repo, &mut lease, position, false, &*parts.clock, &shared.retry).await?;
        let deliveries = shared.source(stage).read(shard, position.map_or(ReadFrom::Start, ReadFrom::After));
        Ok(Tap { shared, lease, checkpoint, deliveries })
    }
}

impl Tap {
    /// The next deliveries; waits for them, and answers none at the end of a closed shard.
    ///
    /// # Errors
    ///
    /// A failure of the stream; open the tap again to go on.
    pub async fn next(&mut self) -> Result<Option<Vec<Delivery>>> {
        loop {
            match self.deliveries.try_next().await? {
                Some(batch) if batch.is_empty() => {}
                next => return Ok(next),
            }
        }
    }

    /// The position committed last.
    pub fn position(&self) -> Option<Position> {
        self.checkpoint.position
    }

    /// Says that everything up to `position` is done with: it is not delivered again.
    ///
    /// # Errors
    ///
    /// `Cancelled` when the tap was opened again elsewhere, `Internal` when `position` lies behind the last one, or a
    /// failure of the repository.
    pub async fn commit(&mut self, position: Position) -> Result<()> {
        self.advance(Some(position), false).await
    }

    /// Ends the consumer: its position no longer keeps entries from being trimmed.
    ///
    /// # Errors
    ///
    /// As [`Tap::commit`].
    pub async fn end(mut self) -> Result<()> {
        let position = self.checkpoint.position;
        self.advance(position, true).await
    }

    async fn advance(&mut self, position: Option<Position>, is_finished: bool) -> Result<()> {
        let Self { shared, lease, checkpoint, .. } = self;
        let parts = &shared.parts;
        checkpoint.advance(&*parts.repo, lease, position, is_finished, &*parts.clock, &shared.retry).await
    }
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tap").field("checkpoint", &self.checkpoint).finish_non_exhaustive()
    }
}
