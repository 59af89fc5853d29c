//! A future that is dropped after a number of polls.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

/// Polls a future a number of times at most and then drops it: none when it was not done by then.
pub struct CancelAt<F> {
    future: Option<Pin<Box<F>>>,
    polls_left: u64,
}

impl<F> CancelAt<F> {
    /// `future`, dropped once it was polled `polls` times; with 0 it is never polled. It is polled again only
    /// when it wakes: one that never does needs `polls` of 1.
    pub fn new(future: F, polls: u64) -> Self {
        Self { future: Some(Box::pin(future)), polls_left: polls }
    }
}

impl<F: Future> Future for CancelAt<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.polls_left > 0 {
            self.polls_left -= 1;
            let Some(future) = &mut self.future else { return Poll::Ready(None) };
            if let Poll::Ready(answer) = future.as_mut().poll(context) {
                self.future = None;
                return Poll::Ready(Some(answer));
            }
        }
        if self.polls_left > 0 {
            return Poll::Pending;
        }
        self.future = None;
        Poll::Ready(None)
    }
}

impl<F> fmt::Debug for CancelAt<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelAt").field("polls_left", &self.polls_left).finish_non_exhaustive()
    }
}
