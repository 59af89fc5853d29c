//! What rows have beside their cells, in no more bytes than it takes.

use std::ops::Range;

use fineo_core::{ContentHash, EventId, Position};

/// Positions of rows: eight bytes each as long as all of them fit.
#[derive(Debug, Clone)]
pub(super) enum Positions {
    /// As numbers.
    Narrow(Vec<u64>),
    /// As they are.
    Wide(Vec<Position>),
}

impl Default for Positions {
    fn default() -> Self {
        Self::Narrow(Vec::new())
    }
}

impl Positions {
    /// Adds the position of the next row.
    pub(super) fn push(&mut self, position: Position) {
        match (&mut *self, narrow(position)) {
            (Self::Narrow(numbers), Some(number)) => numbers.push(number),
            (Self::Wide(positions), _) => positions.push(position),
            (Self::Narrow(numbers), None) => {
                let positions = numbers.iter().map(|number| Position::from(*number)).chain([position]);
                *self = Self::Wide(positions.collect());
            }
        }
    }

    /// The memory of the list.
    pub(super) fn memory_bytes(&self) -> usize {
        match self {
            Self::Narrow(numbers) => numbers.capacity() * size_of::<u64>(),
            Self::Wide(positions) => positions.capacity() * size_of::<Position>(),
        }
    }

    /// The position of `row`.
    pub(super) fn get(&self, row: usize) -> Position {
        match self {
            Self::Narrow(numbers) => Position::from(numbers[row]),
            Self::Wide(positions) => positions[row],
        }
    }

    /// The positions of some rows.
    pub(super) fn range(&self, rows: Range<usize>) -> impl Iterator<Item = Position> + '_ {
        rows.map(|row| self.get(row))
    }
}

/// The position as a number of eight bytes, where it is one.
pub(super) fn narrow(position: Position) -> Option<u64> {
    position.to_u128().and_then(|number| u64::try_from(number).ok())
}

/// Contents of rows; nothing is kept as long as each is as its row's id.
#[derive(Debug, Clone, Default)]
pub(super) struct Contents(Option<Vec<ContentHash>>);

impl Contents {
    /// These contents, one per row.
    pub(super) fn of(contents: Vec<ContentHash>) -> Self {
        Self(Some(contents))
    }

    /// Adds the content of the next row, whose id is `id`; `before` are the ids of the rows before it.
    pub(super) fn push(&mut self, content: ContentHash, id: EventId, before: &[EventId]) {
        match &mut self.0 {
            Some(contents) => contents.push(content),
            None if content.0 == id.0 => {}
            None => self.0 = Some(before.iter().map(|id| ContentHash(id.0)).chain([content]).collect()),
        }
    }

    /// The memory of the list.
    pub(super) fn memory_bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |contents| contents.capacity() * size_of::<ContentHash>())
    }

    /// The content of `row`, whose id is `id`.
    pub(super) fn get(&self, row: usize, id: EventId) -> ContentHash {
        self.0.as_ref().map_or(ContentHash(id.0), |contents| contents[row])
    }

    /// Whether each is certainly as its row's id.
    pub(super) fn are_ids(&self) -> bool {
        self.0.is_none()
    }
}

#[cfg(test)]
mod tests;
