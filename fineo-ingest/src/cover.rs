//! What a batch of appends covers, without a look-up per entry.

use fineo_core::{Cover, stream::Appended};

/// The cover of entries that were appended one after another: mostly side by side in one shard.
#[derive(Debug, Default)]
pub(crate) struct Forwarded {
    cover: Cover,
    /// The last one, not in the cover yet.
    last: Option<Appended>,
}

impl Forwarded {
    pub(crate) fn advance(&mut self, appended: Appended) {
        match &mut self.last {
            Some(last) if last.shard == appended.shard => last.position = last.position.max(appended.position),
            Some(_) | None => {
                if let Some(before) = self.last.replace(appended) {
                    self.cover.advance(&before.shard, before.position);
                }
            }
        }
    }

    pub(crate) fn cover(mut self) -> Cover {
        if let Some(last) = self.last {
            self.cover.advance(&last.shard, last.position);
        }
        self.cover
    }
}
