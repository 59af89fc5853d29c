//! Segments that a lifecycle rule, or Intelligent-Tiering, moved to where they are not read at once: asked for and awaited.
//!
//! `HeadObject` tells where an object is (`x-amz-storage-class`, `x-amz-archive-status`) and how far its restore is
//! (`x-amz-restore`): <https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html>. `RestoreObject` begins one, 202;
//! of an object that is restored it moves the day on which the copy goes, 200; while one is under way it is refused, 409:
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_RestoreObject.html>. S3 itself keeps all there is to know.

use aws_sdk_dynamodb::primitives::{DateTime, DateTimeFormat};
use fineo_core::{
    Error, Result, Timestamp,
    archive::{Availability, Restore, RestoreTier},
};

use crate::{AwsOptions, Bucket, bucket::Answer, retry::Backoff};

/// How often a call is tried that S3 does not answer.
const TRIES_MAX: u32 = 6;

/// Where an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shelf {
    /// Where it is read at once.
    Hot,
    /// In a class whose objects come back as copies for some days.
    Glacier,
    /// In a tier from which Intelligent-Tiering takes it for good.
    Tiered,
}

/// One object of a bucket.
#[derive(Debug)]
pub(super) struct Object<'a> {
    pub(super) bucket: &'a Bucket,
    pub(super) options: &'a AwsOptions,
    pub(super) key: String,
}

impl Object<'_> {
    /// Whether it can be read; with `restore`, it is asked for unless it is on its way.
    pub(super) async fn availability(&self, restore: Option<Restore>) -> Result<Availability> {
        let head = self.ask("HEAD", "", String::new()).await?;
        if head.status != 200 {
            return Err(self.bucket.refused("the object cannot be looked at", &head));
        }
        let (shelf, is_restoring) = place_of(&head);
        let written_at = written_at(&head);
        match (shelf, restore) {
            _ if is_restoring => Ok(Availability::Restoring { written_at }),
            (Shelf::Hot, _) => Ok(Availability::Ready),
            (Shelf::Glacier | Shelf::Tiered, None) => Ok(Availability::Cold { written_at }),
            (Shelf::Glacier | Shelf::Tiered, Some(restore)) => {
                self.restore(shelf, restore).await?;
                Ok(Availability::Restoring { written_at })
            }
        }
    }

    async fn restore(&self, shelf: Shelf, restore: Restore) -> Result<()> {
        let answer = self.ask("POST", "?restore", body(shelf, restore)).await?;
        match (answer.status, answer.code()) {
            // Somebody else, or a call of ours whose answer was lost, has asked for it already.
            (200 | 202, _) | (409, "RestoreAlreadyInProgress") => Ok(()),
            (_, "GlacierExpeditedRetrievalNotAvailable") => Err(self
                .bucket
                .refused("S3 has no room for expedited restores now", &answer)
                .with("hint", "choose another pace: standard or bulk")),
            (403, "InvalidObjectState") | (400, _) => {
                let refused = Error::invalid("S3 does not restore the object in this way").with("code", answer.code());
                Err(refused.with("tier", restore.tier()).with("said", answer.message()))
            }
            (403, code) => Err(Error::unavailable("S3 refuses to restore the object")
                .with("code", code)
                .with("hint", "the policy has to allow s3:RestoreObject")),
            _ => Err(self.bucket.refused("the object cannot be restored", &answer)),
        }
    }

    /// Every call here may be repeated: who has asked twice is told so, and has what he wants.
    async fn ask(&self, method: &str, query: &str, body: String) -> Result<Answer> {
        let mut backoff = Backoff::new(&self.options.clock, &self.options.entropy, TRIES_MAX);
        loop {
            let asked = self.bucket.ask(method, &format!("/{}{query}", self.key), body.clone().into()).await;
            let is_passing = match &asked {
                Ok(answer) => {
                    (answer.status >= 500 || answer.status == 429)
                        && answer.code() != "GlacierExpeditedRetrievalNotAvailable"
                }
                Err(error) => error.is_retryable(),
            };
            if !is_passing || !backoff.wait().await {
                return asked;
            }
        }
    }
}

/// Where the object is that `head` tells of, and whether it is being restored.
fn place_of(head: &Answer) -> (Shelf, bool) {
    let restore = head.header("x-amz-restore");
    let is_restoring = restore.is_some_and(|restore| restore.contains("ongoing-request=\"true\""));
    let is_restored = restore.is_some_and(|restore| restore.contains("ongoing-request=\"false\""));
    let shelf = match (head.header("x-amz-storage-class"), head.header("x-amz-archive-status")) {
        (Some("GLACIER" | "DEEP_ARCHIVE"), _) if !is_restored => Shelf::Glacier,
        (_, Some("ARCHIVE_ACCESS" | "DEEP_ARCHIVE_ACCESS")) => Shelf::Tiered,
        _ => Shelf::Hot,
    };
    (shelf, is_restoring)
}

/// When the object was written. A transition does not change that; where S3 does not say it, it may be just now.
fn written_at(head: &Answer) -> Timestamp {
    let said = head.header("last-modified").and_then(|date| DateTime::from_str(date, DateTimeFormat::HttpDate).ok());
    // A date has no fractions of a second.
    said.map_or(Timestamp::MAX, |date| Timestamp::saturating_from_micros((date.secs() + 1).saturating_mul(1_000_000)))
}

fn body(shelf: Shelf, restore: Restore) -> String {
    let tier = match restore.tier() {
        RestoreTier::Standard => "Standard",
        RestoreTier::Bulk => "Bulk",
        RestoreTier::Expedited => "Expedited",
    };
    // What Intelligent-Tiering takes out stays out, and S3 refuses to be told for how long.
    let days = match shelf {
        Shelf::Hot | Shelf::Tiered => String::new(),
        Shelf::Glacier => format!("<Days>{}</Days>", restore.days()),
    };
    format!(
        "<RestoreRequest xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{days}\
         <GlacierJobParameters><Tier>{tier}</Tier></GlacierJobParameters></RestoreRequest>"
    )
}

#[cfg(test)]
mod tests;
