//! What was read last of subjects, so that who asks again and again does not wait for the database.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use fineo_core::repo::{Subject, Versioned};

/// Of so many subjects the latest version is kept.
const SUBJECTS_MAX: usize = 4096;
/// Larger bodies are kept by who reads them.
const BODY_BYTES_MAX: usize = 4096;

/// The latest versions of some subjects. Nothing is kept of a subject while it may be changing.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    by_subject: HashMap<Subject, Option<Versioned>>,
    /// How many changes are under way.
    changing: usize,
    /// How many were ever begun or ended.
    changes: u64,
}

/// How many changes had begun or ended when somebody began to read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Since(u64);

impl Recent {
    /// The latest version of `subject`, or none if it has none; where that is known.
    pub(super) fn find(&self, subject: &Subject) -> Option<Option<Versioned>> {
        self.state().by_subject.get(subject).cloned()
    }

    /// To be asked before reading.
    pub(super) fn since(&self) -> Since {
        Since(self.state().changes)
    }

    /// Keeps what was read `since` then, unless it may have been changed.
    pub(super) fn keep(&self, subject: &Subject, latest: Option<&Versioned>, since: Since) {
        let mut state = self.state();
        let is_small = latest.is_none_or(|latest| latest.body.len() <= BODY_BYTES_MAX);
        if !is_small || state.changing > 0 || state.changes != since.0 {
            return;
        }
        if state.by_subject.len() >= SUBJECTS_MAX {
            state.by_subject.clear();
        }
        state.by_subject.insert(subject.clone(), latest.cloned());
    }

    /// Says that `subjects` change from now on.
    pub(super) fn begin<'a>(&self, subjects: impl Iterator<Item = &'a Subject>) {
        let mut state = self.state();
        state.changing += 1;
        state.changes += 1;
        for subject in subjects {
            state.by_subject.remove(subject);
        }
    }

    /// Says that a change is over, however it ended: who began to read under it may have read what was before.
    pub(super) fn end(&self) {
        let mut state = self.state();
        state.changing -= 1;
        state.changes += 1;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use fineo_core::{
        Timestamp,
        repo::{Keep, Version},
    };

    use super::*;

    fn subject() -> Subject {
        Subject::system("a", Keep::Latest).unwrap()
    }

    fn version(number: u64) -> Versioned {
        Versioned { version: Version(number), written_at: Timestamp::MIN, body: Bytes::from_static(b"x") }
    }

    #[test]
    fn what_was_read_with_no_change_beside_it_is_kept() {
        let (recent, subject) = (Recent::default(), subject());
        let since = recent.since();
        recent.keep(&subject, Some(&version(1)), since);
        assert_eq!(recent.find(&subject), Some(Some(version(1))));
    }

    #[test]
    fn what_was_read_before_a_change_under_a_change_or_across_its_end_is_not_kept() {
        let (recent, subject) = (Recent::default(), subject());
        let before = recent.since();
        recent.begin([&subject].into_iter());
        let under = recent.since();
        for since in [before, under] {
            recent.keep(&subject, Some(&version(1)), since);
            assert_eq!(recent.find(&subject), None);
        }
        recent.end();
        for since in [before, under] {
            recent.keep(&subject, Some(&version(1)), since);
            assert_eq!(recent.find(&subject), None, "the change may have been made after the reading");
        }
    }
}
