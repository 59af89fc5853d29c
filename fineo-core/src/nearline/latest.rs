//! Which rows a reader who wants the newest of each key needs no more: said by the reader while a scan goes on.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::TimeRange;

/// Of so many keys it is known how new their rows may be; rows of further ones are all wanted.
const KEYS_MAX: usize = 1 << 16;

/// What a reader knows by now of the newest rows of each key. Who answers looks again whenever it goes on.
///
/// A row's key is its cell under the first of the names that it has one under. Without names all rows have one key.
#[derive(Debug)]
pub struct Latest {
    names: Vec<Arc<str>>,
    accepted: RwLock<Accepted>,
    is_full: AtomicBool,
}

#[derive(Debug, Default)]
struct Accepted {
    by_text: HashMap<Box<str>, i64, foldhash::fast::RandomState>,
    /// Of rows without a key.
    without: Option<i64>,
}

impl Latest {
    /// Nothing is known yet of the keys under `names`, best first.
    pub fn by(names: impl IntoIterator<Item = impl Into<Arc<str>>>) -> Self {
        let names = names.into_iter().map(Into::into).collect();
        Self { names, accepted: RwLock::default(), is_full: AtomicBool::new(false) }
    }

    /// The names of the cell that is a row's key, best first.
    pub fn names(&self) -> &[Arc<str>] {
        &self.names
    }

    /// Says for each pair of key and timestamp that such a row was accepted: none of that key is wanted any more that
    /// is older.
    pub fn accept<'a>(&self, rows: impl IntoIterator<Item = (Option<&'a str>, i64)>) {
        let mut accepted = self.accepted.write().unwrap_or_else(PoisonError::into_inner);
        for (key, micros) in rows {
            let Some(text) = key else {
                accepted.without = accepted.without.max(Some(micros));
                continue;
            };
            if let Some(known) = accepted.by_text.get_mut(text) {
                *known = micros.max(*known);
            } else if accepted.by_text.len() < KEYS_MAX {
                accepted.by_text.insert(text.into(), micros);
            } else {
                self.is_full.store(true, Ordering::Relaxed);
            }
        }
    }

    /// The timestamp of the newest row accepted of each of `keys`, or less than any where none was.
    pub fn accepted<'a>(&self, keys: impl IntoIterator<Item = Option<&'a str>>) -> Vec<i64> {
        let accepted = self.accepted.read().unwrap_or_else(PoisonError::into_inner);
        let known = |key: Option<&str>| match key {
            Some(text) => accepted.by_text.get(text).copied(),
            None => accepted.without,
        };
        keys.into_iter().map(|key| known(key).unwrap_or(TimeRange::ALL.from)).collect()
    }

    /// Whether there are more keys than are kept track of, so that it is hardly worth saying more.
    pub fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }
}

/// Equal are those that ask for the same.
impl PartialEq for Latest {
    fn eq(&self, other: &Self) -> bool {
        self.names == other.names
    }
}

impl Eq for Latest {}
