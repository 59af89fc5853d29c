//! Tries a call again while that is safe, within its time.

use std::{pin::pin, time::Duration};

use fineo_core::{Error, ErrorKind, Result};
use futures::future::{Either, select};

use crate::{
    ClientOptions,
    answer::Answer,
    http::{Call, Http},
};

const FIRST_WAIT: Duration = Duration::from_millis(250);
const LAST_WAIT: Duration = Duration::from_secs(10);

/// The tries of one call.
pub(crate) struct Tries<'a> {
    http: &'a Http,
    options: &'a ClientOptions,
    time_max: Duration,
    tries: u32,
    last_error: Option<Error>,
    may_have_applied: bool,
}

impl<'a> Tries<'a> {
    pub(crate) fn new(http: &'a Http, options: &'a ClientOptions, time_max: Duration) -> Self {
        Self { http, options, time_max, tries: 0, last_error: None, may_have_applied: false }
    }

    /// Sends `call` until `read` is content with the answer, trying again does not help, or there was time and were tries
    /// enough. A call that changes something has a key, by which the server knows it again.
    pub(crate) async fn run<T>(mut self, call: &Call, read: impl FnMut(Answer) -> Result<T>) -> Result<T> {
        let deadline = self.options.clock.sleep(self.time_max);
        let outcome = {
            let trying = pin!(self.until_done(call, read));
            match select(trying, deadline).await {
                Either::Left((outcome, _)) => Some(outcome),
                Either::Right(_) => None,
            }
        };
        let error = match outcome {
            Some(Ok(value)) => return Ok(value),
            Some(Err(error)) => error,
            None => call.unheard(self.out_of_time()),
        };
        let error = if self.tries > 1 { error.with("tries", self.tries) } else { error };
        Err(if self.may_have_applied { error.and_may_have_applied() } else { error })
    }

    async fn until_done<T>(&mut self, call: &Call, mut read: impl FnMut(Answer) -> Result<T>) -> Result<T> {
        let began = self.options.clock.now();
        loop {
            self.tries += 1;
            let answer = self.http.once(call).await;
            let error = match answer.and_then(|answer| read(answer).map_err(|error| told(error, call))) {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            self.may_have_applied |= error.may_have_applied();
            if !may_pass(&error) || self.tries >= self.options.tries_max {
                return Err(error);
            }
            let wait = self.wait(&error);
            let spent = self.options.clock.now().micros().saturating_sub(began.micros());
            let left = self.time_max.saturating_sub(Duration::from_micros(u64::try_from(spent).unwrap_or_default()));
            // To wait for a try that cannot be made would only keep the answer from the caller.
            if wait >= left {
                return Err(error);
            }
            self.last_error = Some(error);
            self.options.clock.sleep(wait).await;
        }
    }

    /// How long to wait before the next try, as the server asks or with jitter.
    fn wait(&self, error: &Error) -> Duration {
        let longest = FIRST_WAIT.saturating_mul(1 << (self.tries - 1).min(16)).min(LAST_WAIT);
        let mut chance = [0; 2];
        self.options.entropy.fill(&mut chance);
        // Half of it for sure, the other half by chance: those who failed together do not come back together.
        let jittered = longest / 2 + longest / 2 * u32::from(u16::from_le_bytes(chance)) / 65_536;
        error.retry_after().map_or(jittered, |asked| asked.saturating_add(jittered))
    }

    fn out_of_time(&mut self) -> Error {
        let error = Error::unavailable("the server did not answer in time")
            .with("waited", format_args!("{:?}", self.time_max))
            .with("url", &self.http.base)
            .with("hint", "see that the server is well and can be reached, or allow more with `time_max`");
        match self.last_error.take() {
            Some(last) => error.with_source(last),
            None => error,
        }
    }
}

/// `error` that the server told of `call`: one that failed within the server may have changed something before.
fn told(error: Error, call: &Call) -> Error {
    match error.kind() {
        ErrorKind::Unavailable | ErrorKind::Internal => call.unheard(error),
        _ => error,
    }
}

/// Whether the same call may succeed soon.
fn may_pass(error: &Error) -> bool {
    match error.code() {
        // The server has waited already, as long as it was told to.
        Some("freshness_timeout") => false,
        // Of a declaration: somebody changed the schema just then, so that nothing was made. It is compared again.
        Some("schema_conflict") => true,
        Some(_) | None => matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Throttled),
    }
}
