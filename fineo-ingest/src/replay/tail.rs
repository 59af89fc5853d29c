//! What a stage has not archived yet of a shard, batch by batch, up to what was there when the reading began.

use fineo_core::{
    Error, ErrorKind, Position, Result, ShardId, Stream,
    stream::{Delivery, ReadFrom},
};
use futures::{StreamExt, stream::BoxStream};

/// The rest of a shard behind what is archived.
pub(super) struct Tail {
    pub(super) shard: ShardId,
    /// Up to where the shard was archived when the reading began.
    pub(super) archived: Option<Position>,
    /// Up to where it was read.
    pub(super) at: Option<Position>,
    /// Where it ends.
    pub(super) end: Position,
    deliveries: Option<BoxStream<'static, Result<Vec<Delivery>>>>,
}

/// What comes next of a tail.
pub(super) enum Next {
    Batch(Vec<Delivery>),
    /// What comes next was let go of, because it is archived by now.
    Trimmed,
    End,
}

impl Tail {
    pub(super) fn new(shard: ShardId, archived: Option<Position>, end: Position) -> Self {
        Self { shard, archived, at: archived, end, deliveries: None }
    }

    pub(super) async fn next(&mut self, stream: &dyn Stream) -> Result<Next> {
        if self.at >= Some(self.end) {
            return Ok(Next::End);
        }
        let from = self.at.map_or(ReadFrom::Start, ReadFrom::After);
        let mut deliveries = self.deliveries.take().unwrap_or_else(|| stream.read(&self.shard, from));
        match deliveries.next().await {
            None => Ok(Next::End),
            Some(Err(error)) if error.kind() == ErrorKind::NotFound => Ok(Next::Trimmed),
            Some(Err(error)) => Err(error),
            Some(Ok(mut batch)) => {
                self.at = batch.last().map(|last| last.position).max(self.at);
                self.deliveries = Some(deliveries);
                batch.retain(|delivery| delivery.position <= self.end);
                Ok(Next::Batch(batch))
            }
        }
    }

    /// Forgets what was read from the start on.
    pub(super) fn begin_anew(&mut self) {
        self.at = None;
        self.deliveries = None;
    }

    /// Goes on behind `archived`, up to where the shard is archived by now.
    ///
    /// # Errors
    ///
    /// `Unavailable` when that is not behind what was read: nobody has what was let go of.
    pub(super) fn go_on_behind(&mut self, archived: Option<Position>) -> Result<()> {
        if archived <= self.at {
            let error = Error::unavailable("the stream let go of entries before the stage archived them");
            return Err(error.with("shard", &self.shard));
        }
        self.at = archived;
        Ok(())
    }
}
