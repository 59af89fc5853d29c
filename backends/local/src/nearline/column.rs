//! A column of texts of a segment, read as Arrow arrays: a dictionary once, then codes.

mod kept;

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray, StringViewArray, UInt32Array, builder::make_view, types,
};
use arrow_buffer::{ArrowNativeType, ScalarBuffer};
use arrow_select::{interleave::interleave, take::take};
use fineo_core::{Error, Result};

use super::{
    cache::Thing,
    footer::ColumnPlace,
    reading::Reading,
    text::{ABSENT, is_one_of},
};
use crate::failure;

use kept::SparseCells;
pub(super) use kept::{Codes, KeptColumn, dictionary_parts};

/// Rows of a segment, ascending.
#[derive(Debug)]
pub(super) enum Selection {
    /// From the first to before the second.
    Range(usize, usize),
    /// These.
    Rows(Vec<u32>),
}

impl Selection {
    /// How many rows.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Range(from, to) => to - from,
            Self::Rows(rows) => rows.len(),
        }
    }

    /// The first row and the one behind the last.
    pub(super) fn bounds(&self) -> (usize, usize) {
        match self {
            Self::Range(from, to) => (*from, *to),
            Self::Rows(rows) => {
                (rows.first().map_or(0, |row| *row as usize), rows.last().map_or(0, |row| *row as usize + 1))
            }
        }
    }
}

/// A column, ready to be read.
#[derive(Debug)]
pub(super) struct ColumnReader {
    reading: Reading,
    place: ColumnPlace,
    kept: Arc<KeptColumn>,
}

impl ColumnReader {
    /// Opens the column `thing` of what `reading` reads.
    pub(super) fn open(reading: &Reading, thing: Thing) -> Result<Self> {
        let segment = &reading.segment;
        let place = reading.place(thing).ok_or_else(|| Error::internal("that is no column"))?;
        let kept = segment.cache.column(segment.number(), thing, || KeptColumn::read(reading, place))?;
        Ok(Self { reading: reading.clone(), place: place.clone(), kept })
    }

    fn dictionary(&self) -> &StringViewArray {
        &self.kept.dictionary
    }

    fn is_sparse(&self) -> bool {
        self.place.rows.bytes > 0
    }

    /// The cells of a sparse column in the rows from `from` to before `to`. Where not all are kept it guesses their place,
    /// for cells are mostly spread evenly, and reads more where it was another.
    fn sparse_cells(&self, from: usize, to: usize) -> Result<SparseCells> {
        const MARGIN: usize = 256;
        if let Some(all) = &self.kept.cells {
            return Ok(all.between(from, to));
        }
        let (cells, all) = (self.place.cells as usize, self.reading.segment.rows().max(1));
        let guess = |row: usize| (row as u128 * cells as u128 / all as u128) as usize;
        let (mut first, mut last) = (guess(from).saturating_sub(MARGIN), (guess(to) + MARGIN).min(cells));
        let rows = loop {
            let rows: ScalarBuffer<u32> = self.reading.numbers(self.place.rows, first, last)?;
            let is_low_enough = first == 0 || rows.first().is_some_and(|row| (*row as usize) < from);
            let is_high_enough = last == cells || rows.last().is_some_and(|row| *row as usize >= to);
            if is_low_enough && is_high_enough {
                break rows;
            }
            let len = 2 * (last - first).max(MARGIN);
            first = if is_low_enough { first } else { first.saturating_sub(len) };
            last = if is_high_enough { last } else { (last + len).min(cells) };
        };
        Ok(SparseCells { rows, codes: self.codes(first, last)?.widen().into() }.between(from, to))
    }

    /// The codes of the texts that `wanted` names, ascending. A text may have several.
    pub(super) fn codes_of(&self, wanted: &[Arc<str>]) -> Vec<u32> {
        let mut codes = Vec::new();
        for text in wanted {
            let view = make_view(text.as_bytes(), 0, 0);
            let views = &self.dictionary().views()[..self.place.texts as usize];
            // Texts of up to twelve bytes are their views; of longer ones the lower half is length and beginning.
            let is_short = text.len() <= 12;
            let same = |known: &u128| if is_short { *known == view } else { *known << 64 == view << 64 };
            let found = views.iter().enumerate().filter(|(_, known)| same(known)).map(|(code, _)| code);
            let found = found.filter(|code| is_short || self.dictionary().value(*code) == text.as_ref());
            codes.extend(found.filter_map(|code| u32::try_from(code).ok()));
        }
        codes.sort_unstable();
        codes
    }

    /// Marks in `mask` the rows from `from` on that have one of `wanted`, or any text when that is none.
    pub(super) fn mark(&self, from: usize, mask: &mut [bool], wanted: Option<&[u32]>) -> Result<()> {
        let texts = self.place.texts;
        let matches = |code: u32| wanted.map_or(code < texts, |wanted| is_one_of(wanted, code));
        let to = from + mask.len();
        if self.is_sparse() {
            self.sparse_cells(from, to)?.iter().for_each(|(row, code)| mask[row - from] |= matches(code));
            return Ok(());
        }
        if self.place.width == 0 {
            let is_match = matches(0);
            mask.iter_mut().for_each(|marked| *marked |= is_match);
            return Ok(());
        }
        match (self.codes(from, to)?, wanted) {
            // The usual case, in a form that the compiler makes vectors of.
            (Codes::One(codes), Some([one])) => mark_equal(&codes, u8::try_from(*one).ok(), mask),
            (Codes::Two(codes), Some([one])) => mark_equal(&codes, u16::try_from(*one).ok(), mask),
            (Codes::Four(codes), Some([one])) => mark_equal(&codes, Some(*one), mask),
            (codes, _) => {
                mask.iter_mut().zip(codes.widen()).for_each(|(marked, code)| *marked |= matches(code));
            }
        }
        Ok(())
    }

    /// The texts, by code.
    pub(super) fn texts(&self) -> impl ExactSizeIterator<Item = &str> {
        (0..self.place.texts as usize).map(|code| self.dictionary().value(code))
    }

    /// The text of `code`.
    pub(super) fn text(&self, code: u32) -> &str {
        self.dictionary().value(code as usize)
    }

    /// Gives the rows from `from` on that have no number in `numbers` yet that of their text: `first` and its code.
    pub(super) fn number(&self, from: usize, numbers: &mut [u32], first: u32) -> Result<()> {
        self.visit(&Selection::Range(from, from + numbers.len()), |place, code| {
            if numbers[place] == ABSENT {
                numbers[place] = first + code;
            }
        })
    }

    /// Visits those of `selection` that have a text: the place of each among them, and its code.
    fn visit(&self, selection: &Selection, mut visit: impl FnMut(usize, u32)) -> Result<()> {
        let texts = self.place.texts;
        let mut check = |place: usize, code: u32| {
            if code < texts {
                visit(place, code);
            }
        };
        if self.is_sparse() {
            return self.visit_cells(selection, check);
        }
        if self.place.width == 0 {
            (0..selection.len()).for_each(|place| check(place, 0));
            return Ok(());
        }
        let (from, to) = selection.bounds();
        match (self.codes(from, to)?, selection) {
            (codes, Selection::Rows(rows)) => {
                codes.of(rows, from).into_iter().enumerate().for_each(|(place, code)| check(place, code));
            }
            (Codes::One(codes), _) => codes.iter().enumerate().for_each(|(place, code)| check(place, (*code).into())),
            (Codes::Two(codes), _) => codes.iter().enumerate().for_each(|(place, code)| check(place, (*code).into())),
            (Codes::Four(codes), _) => codes.iter().enumerate().for_each(|(place, code)| check(place, *code)),
        }
        Ok(())
    }

    /// Visits those of `selection` that have a cell in this sparse column: the place of each among them, and its code.
    fn visit_cells(&self, selection: &Selection, mut visit: impl FnMut(usize, u32)) -> Result<()> {
        let (from, to) = selection.bounds();
        let cells = self.sparse_cells(from, to)?;
        match selection {
            Selection::Range(..) => cells.iter().for_each(|(row, code)| visit(row - from, code)),
            Selection::Rows(wanted) => {
                let mut wanted = wanted.iter().map(|row| *row as usize).enumerate().peekable();
                for (row, code) in cells.iter() {
                    while wanted.next_if(|(_, next)| *next < row).is_some() {}
                    if let Some((place, _)) = wanted.next_if(|(_, next)| *next == row) {
                        visit(place, code);
                    }
                }
            }
        }
        Ok(())
    }

    /// The texts of the rows that `selection` names.
    pub(super) fn array(&self, selection: &Selection) -> Result<ArrayRef> {
        let len = selection.len();
        if self.is_sparse() {
            let mut indices = vec![self.place.texts; len];
            self.visit_cells(selection, |place, code| indices[place] = code)?;
            return self.take(&UInt32Array::from(indices));
        }
        if self.place.width == 0 {
            return self.take(&UInt32Array::from(vec![0; len]));
        }
        let (from, to) = selection.bounds();
        let codes = self.codes(from, to)?;
        match (codes, selection) {
            (Codes::One(codes), Selection::Range(..)) => {
                self.take(&PrimitiveArray::<types::UInt8Type>::new(codes, None))
            }
            (Codes::Two(codes), Selection::Range(..)) => {
                self.take(&PrimitiveArray::<types::UInt16Type>::new(codes, None))
            }
            (Codes::Four(codes), Selection::Range(..)) => self.take(&UInt32Array::new(codes, None)),
            (codes, Selection::Rows(rows)) => self.take(&UInt32Array::from(codes.of(rows, from))),
        }
    }

    fn take<T: ArrowPrimitiveType<Native: Ord>>(&self, indices: &PrimitiveArray<T>) -> Result<ArrayRef> {
        // Where no row is without a cell the null is left off, so that nobody looks for nulls.
        let has_absent = self.place.cells as usize != self.reading.segment.rows();
        let texts = self.place.texts as usize + usize::from(has_absent);
        let largest = indices.values().iter().copied().max();
        if largest.is_some_and(|largest| largest.as_usize() >= texts) {
            return Err(failure::corrupt(&self.reading.segment.pack.path, "code without a text"));
        }
        let taken = take(&self.dictionary().slice(0, texts), indices, None);
        taken.map_err(|source| Error::internal("texts could not be taken").with_source(source))
    }

    fn codes(&self, from: usize, to: usize) -> Result<Codes> {
        Codes::read(&self.reading, &self.place, from, to)
    }
}

/// Of the rows that `selection` names, the first text that they have in one of `columns`.
pub(super) fn first_of(columns: &[ColumnReader], selection: &Selection) -> Result<ArrayRef> {
    let [first, ..] = columns else { return Ok(Arc::new(StringViewArray::new_null(selection.len()))) };
    // Behind the texts of each is a null.
    let nothing = (0, first.place.texts as usize);
    let mut found = vec![nothing; selection.len()];
    for (number, column) in columns.iter().enumerate().rev() {
        column.visit(selection, |place, code| found[place] = (number, code as usize))?;
    }
    let dictionaries: Vec<&dyn Array> = columns.iter().map(|column| column.dictionary() as &dyn Array).collect();
    let taken = interleave(&dictionaries, &found);
    taken.map_err(|source| Error::internal("texts could not be taken").with_source(source))
}

fn mark_equal<T: PartialEq + Copy>(codes: &[T], wanted: Option<T>, mask: &mut [bool]) {
    let Some(wanted) = wanted else { return };
    mask.iter_mut().zip(codes).for_each(|(marked, code)| *marked |= *code == wanted);
}
