//! Group commit: appends that wait together are made in one transaction, in order, and cost one sync.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    slice,
    sync::Arc,
};

use fineo_core::{
    Error, ErrorKind, Result,
    repo::{Compared, Keep, Version, Write},
};
use redb::{ReadableTable, Table, WriteTransaction};

use super::{
    HISTORY, LATEST, Shared, key,
    queue::Request,
    value::{self, Packer},
};
use crate::failure::database_error;

/// The right to make what waits. Given up before its end, nobody waits for ever.
pub(super) struct Turn {
    shared: Arc<Shared>,
    is_over: bool,
}

impl Turn {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::clone(shared), is_over: false }
    }

    /// Makes group after group until nothing waits.
    pub(super) fn work(self) {
        let mut turn = Some(self);
        while let Some(now) = turn.take() {
            let group = now.shared.queue.next();
            let answers = now.shared.append(&group);
            // Who is answered may let the directory go and open it anew: nothing of it is held then.
            turn = now.ended();
            for (request, answer) in group.into_iter().zip(answers) {
                // It is done, also when nobody waits for it.
                let _ = request.answer.send(answer);
            }
        }
    }

    /// The same turn, unless it is over.
    fn ended(mut self) -> Option<Self> {
        self.is_over = self.shared.queue.end();
        (!self.is_over).then_some(self)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.is_over {
            self.shared.queue.abandon();
        }
    }
}

impl Shared {
    /// What became of each append of `group`.
    fn append(&self, group: &[Request]) -> Vec<Result<Compared>> {
        if let Err(error) = self.root.check_writable() {
            return vec![Err(error); group.len()];
        }
        self.recent.begin(group.iter().flat_map(|request| &request.writes).map(|write| &write.subject));
        let answers = self.written(group);
        self.recent.end();
        answers
    }

    fn written(&self, group: &[Request]) -> Vec<Result<Compared>> {
        let mut is_committing = false;
        // redb panics over some damaged pages.
        let written = catch_unwind(AssertUnwindSafe(|| self.write(group, &mut is_committing)));
        let error = match written {
            Ok(Ok(answers)) => return answers,
            Ok(Err(error)) => error,
            Err(panic) => broken_off(panic.as_ref()),
        };
        // Damage that one append meets is no other's matter.
        if error.kind() == ErrorKind::Corrupt && !is_committing && group.len() > 1 {
            return group.iter().flat_map(|request| self.written(slice::from_ref(request))).collect();
        }
        vec![Err(error); group.len()]
    }

    /// Makes the appends in one transaction. An error is true of all of them.
    fn write(&self, group: &[Request], is_committing: &mut bool) -> Result<Vec<Result<Compared>>> {
        let transaction = self.database.begin_write()?;
        let answers = write_group(&transaction, group)?;
        let is_made = |answer: &Result<Compared>| matches!(answer, Ok(Compared::Written));
        if !answers.iter().any(is_made) {
            transaction.abort().map_err(database_error)?;
            return Ok(answers);
        }
        *is_committing = true;
        let Err(error) = transaction.commit().map_err(database_error) else { return Ok(answers) };
        let doubtful = error.clone().and_may_have_applied();
        self.root.poison(&doubtful);
        // A conflict may be one with an append that was not made.
        let answers = answers.into_iter().map(|answer| match answer {
            Ok(Compared::Written) => Err(doubtful.clone()),
            Ok(Compared::Conflict { .. }) => Err(error.clone()),
            Err(own) => Err(own),
        });
        Ok(answers.collect())
    }
}

/// Makes the appends within `transaction`, each on what those before it left.
fn write_group(transaction: &WriteTransaction, group: &[Request]) -> Result<Vec<Result<Compared>>> {
    let mut latest = transaction.open_table(LATEST).map_err(database_error)?;
    let mut history = transaction.open_table(HISTORY).map_err(database_error)?;
    let (mut answers, mut packer) = (Vec::new(), Packer::default());
    for request in group {
        let compared = compare(&latest, &request.writes)?;
        if matches!(compared, Ok(Compared::Written)) {
            insert(&mut latest, &mut history, &mut packer, request)?;
        }
        answers.push(compared);
    }
    Ok(answers)
}

/// Whether every subject stands as expected; else the first that does not. A damaged version is the append's own error, within.
fn compare(latest: &impl ReadableTable<&'static [u8], &'static [u8]>, writes: &[Write]) -> Result<Result<Compared>> {
    for write in writes {
        let current = match latest.get(&*key::of(&write.subject)).map_err(database_error)? {
            Some(found) => match value::version(found.value(), &write.subject) {
                Ok(version) => version,
                Err(damaged) => return Ok(Err(damaged)),
            },
            None => Version::NONE,
        };
        if current != write.expected {
            return Ok(Ok(Compared::Conflict { subject: write.subject.clone(), current }));
        }
    }
    Ok(Ok(Compared::Written))
}

fn insert(
    latest: &mut Table<'_, &'static [u8], &'static [u8]>,
    history: &mut Table<'_, &'static [u8], &'static [u8]>,
    packer: &mut Packer,
    request: &Request,
) -> Result<()> {
    for write in &request.writes {
        let Some(body) = &write.body else { continue };
        let version = write.expected.next();
        let is_kept = write.subject.keep() == Keep::History;
        // What is soon written over is not worth the time.
        let bytes = value::encode(version, request.now, body, is_kept.then_some(&mut *packer));
        latest.insert(&*key::of(&write.subject), &*bytes).map_err(database_error)?;
        if is_kept {
            history.insert(&*key::version(&write.subject, version), &*bytes).map_err(database_error)?;
        }
    }
    Ok(())
}

/// The error that a panic is.
fn broken_off(panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    Error::corrupt("the repository is damaged").with_source(Error::internal(text)).and_may_have_applied()
}
