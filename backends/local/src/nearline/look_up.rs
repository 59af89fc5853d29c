//! Looks for rows in the segments of a table: filters say which may have them, and those few are read.

use std::{collections::BTreeSet, mem, sync::Arc};

use fineo_core::{
    Error, ErrorKind, Result,
    nearline::{RowHead, Rows, Written},
};

use super::{hash::id_hash, segment::Segment, table::Stored};

/// So many look-ups are done at once: the way to another thread would take longer.
const FEW: usize = 16;

/// What each of some rows is in segments; none where it is in none of them.
pub(super) type Answers = Vec<Result<Option<Written>>>;

/// Rows that are looked for in the segments of a table.
#[derive(Debug)]
pub(super) struct LookUp {
    answers: Answers,
    /// The segments that gave these answers, or will have once all is read.
    asked: BTreeSet<u64>,
    unread: Vec<Hit>,
}

/// A row that a segment may have.
#[derive(Debug)]
struct Hit {
    segment: Arc<Segment>,
    /// Which of the rows it is.
    place: usize,
    head: RowHead,
}

impl LookUp {
    /// Nothing is known of `rows` yet.
    pub(super) fn new(rows: &Rows) -> Self {
        Self { answers: rows.iter().map(|_| Ok(None)).collect(), asked: BTreeSet::new(), unread: Vec::new() }
    }

    /// What `rows` are in `segments`, of which those are asked that were not yet. None where many may be there: then
    /// nothing is read before [`LookUp::read_beside`].
    pub(super) fn ask(&mut self, segments: &[Stored], rows: &Rows) -> Option<Answers> {
        let hits = self.hits(segments, rows);
        if hits.len() > FEW {
            self.asked.extend(segments.iter().map(|stored| stored.entry().number));
            self.unread = hits;
            return None;
        }
        self.read(hits);
        Some(mem::take(&mut self.answers))
    }

    /// Reads what is unread, in a thread that may wait for the disk.
    pub(super) async fn read_beside(mut self) -> Result<Self> {
        let read = move || {
            let unread = mem::take(&mut self.unread);
            self.read(unread);
            self
        };
        let read = tokio::task::spawn_blocking(read).await;
        read.map_err(|source| {
            if source.is_panic() {
                std::panic::resume_unwind(source.into_panic());
            }
            Error::new(ErrorKind::Cancelled, "the look-up was cut off").with_source(source)
        })
    }

    /// The filters are asked segment by segment, which the processor can overlap.
    fn hits(&self, segments: &[Stored], rows: &Rows) -> Vec<Hit> {
        let mut hits = Vec::new();
        if segments.is_empty() {
            return hits;
        }
        let hashes: Vec<u64> = rows.iter().map(|row| id_hash(&row.head().id)).collect();
        for stored in segments {
            // Whether a damaged segment has an id nobody can say: it is written again when that is mended.
            let Stored::Whole(segment) = stored else { continue };
            if self.asked.contains(&segment.number()) {
                continue;
            }
            for (place, hash) in hashes.iter().enumerate() {
                // What is known to be there needs no further look.
                if matches!(self.answers.get(place), Some(Ok(None)))
                    && segment.may_contain(*hash)
                    && let Some(row) = rows.get(place)
                {
                    hits.push(Hit { segment: Arc::clone(segment), place, head: *row.head() });
                }
            }
        }
        hits
    }

    /// Blocks.
    fn read(&mut self, hits: Vec<Hit>) {
        for Hit { segment, place, head } in hits {
            let answer = &mut self.answers[place];
            if matches!(answer, Ok(None)) {
                *answer = segment.find(&head);
            }
        }
    }
}
