//! Stored names as small numbers: compared where they are expected, hashed only when they come as a surprise.

use std::{collections::HashMap, sync::Arc};

use foldhash::fast::RandomState;

/// The names of one metric's records, numbered in order of first sight. The numbers never leave a run.
#[derive(Debug, Default)]
pub(crate) struct Names {
    texts: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, u32, RandomState>,
}

impl Names {
    /// The number of `name`; a new one for a name that is new.
    pub(crate) fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = u32::try_from(self.texts.len()).expect("four thousand million names would not fit in memory");
        let text: Arc<str> = name.into();
        self.texts.push(Arc::clone(&text));
        self.numbers.insert(text, number);
        number
    }

    /// The number of `name`; none for a name that is new.
    pub(crate) fn find(&self, name: &str) -> Option<u32> {
        self.numbers.get(name).copied()
    }

    /// The name with this number.
    pub(crate) fn text(&self, number: u32) -> &Arc<str> {
        &self.texts[number as usize]
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.texts.len()
    }

    /// The names in order of their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<str>> {
        self.texts.iter()
    }
}

/// Guesses names by the ones before: events of one kind of device name their fields in one order, and leave some out.
#[derive(Debug, Default)]
pub(crate) struct Guesses {
    /// By the place of a name, the number of the one that followed it last.
    followers: Vec<u32>,
    /// The place of the name before: its number plus one, 0 where a record begins.
    before: usize,
}

/// The number of no name.
const NOBODY: u32 = u32::MAX;

impl Guesses {
    /// Begins a record.
    pub(crate) fn begin(&mut self) {
        self.before = 0;
    }

    /// The number of the next name; a new one for a name that is new.
    pub(crate) fn next(&mut self, names: &mut Names, name: &str) -> u32 {
        match self.find(names, name) {
            Some(number) => number,
            None => {
                let number = names.number(name);
                self.remember(number);
                number
            }
        }
    }

    /// The number of the next name; none for a name that is new.
    pub(crate) fn find(&mut self, names: &Names, name: &str) -> Option<u32> {
        let guess = self.followers.get(self.before).copied().filter(|guess| *guess != NOBODY);
        if let Some(guess) = guess
            && **names.text(guess) == *name
        {
            self.before = guess as usize + 1;
            return Some(guess);
        }
        let number = names.find(name)?;
        self.remember(number);
        Some(number)
    }

    /// Notes that the name just asked for has this number.
    fn remember(&mut self, number: u32) {
        let place = number as usize + 1;
        if self.followers.len() <= self.before.max(place) {
            self.followers.resize(self.before.max(place) + 1, NOBODY);
        }
        self.followers[self.before] = number;
        self.before = place;
    }
}
