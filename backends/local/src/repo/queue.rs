//! Appends that wait for the next transaction: whoever finds nobody at work takes the turn, and makes all that come meanwhile.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use fineo_core::{
    Result, Timestamp,
    repo::{Compared, Write},
};
use tokio::sync::oneshot;

/// The most writes and bytes of a group; one append may have more, and is a group of its own then.
const GROUP_WRITES_MAX: usize = 10_000;
const GROUP_BYTES_MAX: usize = 16 << 20;

/// One append. It is made even when nobody waits for the answer any more.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) writes: Vec<Write>,
    pub(super) now: Timestamp,
    pub(super) answer: oneshot::Sender<Result<Compared>>,
}

impl Request {
    fn bytes(&self) -> usize {
        self.writes.iter().filter_map(|write| write.body.as_ref()).map(Bytes::len).sum()
    }
}

/// What waits, in order of arrival. It has no bound of its own: callers wait for their answers, and what those who gave up handed
/// in is made soon.
#[derive(Debug, Default)]
pub(super) struct Queue(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Request>,
    /// Whether somebody is at work, and will come back for what waits.
    is_taken: bool,
}

impl Queue {
    /// Hands in an append; whether the turn is the caller's from now on.
    pub(super) fn push(&self, request: Request) -> bool {
        let mut state = self.state();
        state.waiting.push_back(request);
        !std::mem::replace(&mut state.is_taken, true)
    }

    /// What is to be made next by who has the turn.
    pub(super) fn next(&self) -> Vec<Request> {
        let mut state = self.state();
        let (mut writes, mut bytes, mut count) = (0, 0, 0);
        for request in &state.waiting {
            writes += request.writes.len();
            bytes += request.bytes();
            if count > 0 && (writes > GROUP_WRITES_MAX || bytes > GROUP_BYTES_MAX) {
                break;
            }
            count += 1;
        }
        state.waiting.drain(..count).collect()
    }

    /// Ends the turn when nothing waits; whether it ended.
    pub(super) fn end(&self) -> bool {
        let mut state = self.state();
        state.is_taken = !state.waiting.is_empty();
        !state.is_taken
    }

    /// Ends a turn in which no more will be made: who waits is left without an answer.
    pub(super) fn abandon(&self) {
        let mut state = self.state();
        state.is_taken = false;
        state.waiting.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use fineo_core::repo::{Keep, Subject, Version};

    use super::*;

    fn request(writes: usize, bytes: usize) -> Request {
        let write = |number| Write {
            subject: Subject::system(&format!("a{number}"), Keep::Latest).unwrap(),
            expected: Version::NONE,
            body: Some(Bytes::from(vec![0; bytes])),
        };
        let writes = (0..writes).map(write).collect();
        Request { writes, now: Timestamp::MIN, answer: oneshot::channel().0 }
    }

    fn groups(requests: Vec<Request>) -> Vec<Vec<usize>> {
        let queue = Queue::default();
        for (number, request) in requests.into_iter().enumerate() {
            assert_eq!(queue.push(request), number == 0, "one has the turn");
        }
        let mut groups = Vec::new();
        while !queue.end() {
            groups.push(queue.next().iter().map(|request| request.writes.len()).collect());
        }
        assert!(queue.push(request(1, 0)), "the turn is over");
        groups
    }

    #[test]
    fn a_group_is_bounded_and_has_one_append_at_least() {
        let half = GROUP_WRITES_MAX / 2;
        let of_writes = [half, half, 1, 2, GROUP_WRITES_MAX + 1, 3].map(|writes| request(writes, 0));
        assert_eq!(groups(of_writes.into()), [vec![half, half], vec![1, 2], vec![GROUP_WRITES_MAX + 1], vec![3]]);
        let of_bytes = [(1, GROUP_BYTES_MAX / 2), (2, GROUP_BYTES_MAX / 4), (3, 1), (4, GROUP_BYTES_MAX), (5, 0)];
        let of_bytes = of_bytes.map(|(writes, bytes)| request(writes, bytes));
        assert_eq!(groups(of_bytes.into()), [vec![1, 2], vec![3], vec![4], vec![5]]);
    }

    #[test]
    fn who_waits_for_a_turn_that_was_given_up_hears_of_it() {
        let queue = Queue::default();
        let (answer, mut answered) = oneshot::channel();
        assert!(queue.push(Request { answer, ..request(1, 0) }));
        queue.abandon();
        assert!(matches!(answered.try_recv(), Err(oneshot::error::TryRecvError::Closed)));
        assert!(queue.push(request(1, 0)), "the next one has the turn");
    }
}
