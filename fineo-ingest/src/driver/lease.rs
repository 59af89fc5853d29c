//! The right of one worker to a piece of work, such as moving a shard's checkpoint, with an epoch that fences its
//! predecessors.

use std::{sync::Arc, time::Duration};

use fineo_core::{
    Clock, Error, Result, SchemaRepo, ShardId, Timestamp,
    repo::{Compared, Keep, Subject, Version, Versioned, Write},
};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// A lease as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct LeaseBody {
    owner: String,
    epoch: u64,
    /// In microseconds; 0 when it was given back.
    expires: i64,
}

/// Who wants a lease, and how.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// The claimer's name among all.
    pub owner: &'a str,
    /// How long the lease holds that is not renewed.
    pub hold_for: Duration,
    /// Whether a lease that has not run out is taken over too.
    pub at_once: bool,
}

/// A lease that this worker holds, as far as it knows.
#[derive(Debug, Clone)]
pub struct Lease {
    subject: Subject,
    version: Version,
    body: LeaseBody,
    hold_for: Duration,
    /// Until when it is held, for the work that is done under it.
    until: watch::Sender<Timestamp>,
}

/// Until when a lease is held, as the work knows that is done under it.
#[derive(Debug)]
pub(crate) struct Held {
    until: watch::Receiver<Timestamp>,
    /// What is begun may take so long, and clocks may differ by so much.
    margin: Duration,
    clock: Arc<dyn Clock>,
}

/// What came of a wish for a lease.
#[derive(Debug)]
pub enum Claimed {
    /// It is the claimer's.
    Held(Lease),
    /// Somebody else has it until then.
    Taken(Timestamp),
}

/// The subject of the lease of `consumer` on `shard`.
pub(crate) fn subject(pipeline: &str, consumer: &str, shard: &ShardId) -> Result<Subject> {
    Subject::system(&format!("lease/{pipeline}/{consumer}/{shard}"), Keep::Latest)
}

impl Lease {
    /// Takes the lease of `subject` if nobody else holds it.
    ///
    /// # Errors
    ///
    /// A failure of the repository.
    pub async fn claim(repo: &dyn SchemaRepo, subject: Subject, claim: Claim<'_>, now: Timestamp) -> Result<Claimed> {
        let found = repo.latest(&subject).await?;
        let (version, held) = match &found {
            Some(Versioned { version, body, .. }) => {
                let body: LeaseBody = serde_json::from_slice(body).map_err(|source| {
                    Error::corrupt("a lease cannot be read").with("subject", &subject).with_source(source)
                })?;
                (*version, Some(body))
            }
            None => (Version::NONE, None),
        };
        if let Some(held) = &held {
            let is_ours = held.owner == claim.owner;
            let runs = held.expires > now.micros();
            if runs && !is_ours && !claim.at_once {
                return Ok(Claimed::Taken(Timestamp::saturating_from_micros(held.expires)));
            }
        }
        let epoch = held.map_or(1, |held| held.epoch + 1);
        let body = LeaseBody { owner: claim.owner.to_owned(), epoch, expires: expiry(now, claim.hold_for) };
        let write = Write { subject: subject.clone(), expected: version, body: Some(encode(&body)) };
        match repo.append(vec![write], now).await.into_result()? {
            Compared::Written => {
                let until = watch::Sender::new(Timestamp::saturating_from_micros(body.expires));
                Ok(Claimed::Held(Self { subject, version: version.next(), body, hold_for: claim.hold_for, until }))
            }
            // Somebody was faster; he may be as short-lived, so look again soon.
            Compared::Conflict { .. } => Ok(Claimed::Taken(now)),
        }
    }

    /// Which holder this is, counted from 1.
    pub(crate) fn epoch(&self) -> u64 {
        self.body.epoch
    }

    /// The part of an append that renews the lease, and fails it when the lease is no longer ours.
    pub(crate) fn renewal(&self, now: Timestamp) -> Write {
        let body = LeaseBody { expires: expiry(now, self.hold_for), ..self.body.clone() };
        Write { subject: self.subject.clone(), expected: self.version, body: Some(encode(&body)) }
    }

    /// Notes that a renewal was written, which was made at `now`.
    pub(crate) fn renewed(&mut self, now: Timestamp) {
        self.version = self.version.next();
        self.body.expires = expiry(now, self.hold_for);
        self.until.send_replace(Timestamp::saturating_from_micros(self.body.expires));
    }

    /// For the work that is done under it.
    pub(crate) fn held(&self, clock: &Arc<dyn Clock>) -> Held {
        Held { until: self.until.subscribe(), margin: self.hold_for / 3, clock: Arc::clone(clock) }
    }

    /// The version that is ours while nobody else took the lease.
    pub(crate) fn version(&self) -> Version {
        self.version
    }

    /// Where it is kept.
    pub(crate) fn kept_in(&self) -> &Subject {
        &self.subject
    }

    /// Renews the lease by itself when half of its time is over.
    ///
    /// # Errors
    ///
    /// As [`Lease::renew`].
    pub async fn renew_in_time(&mut self, repo: &dyn SchemaRepo, now: Timestamp) -> Result<()> {
        if expiry(now, self.hold_for / 2) <= self.body.expires {
            return Ok(());
        }
        self.renew(repo, now).await
    }

    /// Renews the lease by itself.
    ///
    /// # Errors
    ///
    /// [`fineo_core::ErrorKind::Cancelled`] when it is another's by now; or a failure of the repository.
    pub async fn renew(&mut self, repo: &dyn SchemaRepo, now: Timestamp) -> Result<()> {
        match repo.append(vec![self.renewal(now)], now).await.into_result()? {
            Compared::Written => {
                self.renewed(now);
                Ok(())
            }
            Compared::Conflict { subject, current } => {
                Err(Error::new(fineo_core::ErrorKind::Cancelled, "the lease was taken over")
                    .with("subject", subject)
                    .with("version", current))
            }
        }
    }

    /// Gives the lease back, so that the next worker need not wait.
    ///
    /// # Errors
    ///
    /// A failure of the repository; the lease then runs out.
    pub async fn release(self, repo: &dyn SchemaRepo, now: Timestamp) -> Result<()> {
        let body = LeaseBody { expires: 0, ..self.body };
        let write = Write { subject: self.subject, expected: self.version, body: Some(encode(&body)) };
        repo.append(vec![write], now).await.into_result().map(|_| ())
    }
}

impl Held {
    /// Completes while the lease is held for some time to come; waits for its renewal where that is not sure.
    pub(crate) async fn is_sure(&mut self) {
        while self.left().is_zero() {
            if self.until.changed().await.is_err() {
                // Whoever held it is gone, and this work with it.
                std::future::pending().await
            }
        }
    }

    /// Completes once the lease may soon be another's.
    pub(crate) async fn is_in_doubt(&mut self) {
        loop {
            let left = self.left();
            if left.is_zero() {
                return;
            }
            self.clock.sleep(left).await;
        }
    }

    /// Whether the lease is held for some time to come.
    pub(crate) fn is_sure_now(&self) -> bool {
        !self.left_until(*self.until.borrow()).is_zero()
    }

    fn left(&mut self) -> Duration {
        let until = *self.until.borrow_and_update();
        self.left_until(until)
    }

    fn left_until(&self, until: Timestamp) -> Duration {
        let micros = until.micros().saturating_sub(self.clock.now().micros());
        Duration::from_micros(u64::try_from(micros).unwrap_or(0)).saturating_sub(self.margin)
    }
}

fn expiry(now: Timestamp, hold_for: Duration) -> i64 {
    now.plus_micros(i64::try_from(hold_for.as_micros()).unwrap_or(i64::MAX)).micros()
}

fn encode(body: &LeaseBody) -> bytes::Bytes {
    serde_json::to_vec(body).expect("a lease is plain data").into()
}
