//! One event as its members, so that firmware can send them in another order.

use crate::config::{Field, Undeclared};
use crate::output::{push_number, put};
use crate::random::{Random, mix};

/// What is wrong with an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// It has no time.
    NoTime,
    /// Its time is no time.
    BadTime,
    /// It names no metric.
    NoMetric,
}

impl Fault {
    /// A fault in `percent` of the events, each kind as often.
    pub fn draw(random: &mut Random, percent: f64) -> Self {
        if !random.percent(percent) {
            return Self::None;
        }
        [Self::NoTime, Self::BadTime, Self::NoMetric][random.below(3) as usize]
    }

    /// What it is counted as.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::NoTime => Some("err_missing_time"),
            Self::BadTime => Some("err_bad_time"),
            Self::NoMetric => Some("err_missing_metric"),
        }
    }
}

/// The members of an event in one buffer.
#[derive(Debug, Default)]
pub struct Event {
    bytes: Vec<u8>,
    members: Vec<(usize, usize)>,
}

impl Event {
    /// Forgets all members.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.members.clear();
    }

    fn end(&mut self, start: usize) {
        self.members.push((start, self.bytes.len()));
    }

    /// Adds a text member; neither name nor text needs escaping here.
    pub fn text(&mut self, name: &str, text: &str) {
        let start = self.bytes.len();
        put!(self.bytes, "\"{name}\":\"{text}\"");
        self.end(start);
    }

    /// Adds the time, or what `fault` makes of it.
    pub fn time(&mut self, name: &str, time: i64, fault: Fault, random: &mut Random) {
        match fault {
            Fault::NoTime => {}
            Fault::BadTime => self.text(name, ["yesterday", "", "n/a"][random.below(3) as usize]),
            Fault::None | Fault::NoMetric => {
                let start = self.bytes.len();
                put!(self.bytes, "\"{name}\":{time}");
                self.end(start);
            }
        }
    }

    /// Adds a declared field under its `name`-th name, in the representation of the generation; `walk` moves a little.
    pub fn field(
        &mut self,
        field: &Field,
        name: usize,
        generation: u64,
        device: u64,
        walk: &mut f32,
        random: &mut Random,
    ) {
        let start = self.bytes.len();
        let constant = |of: u64| mix(device ^ (field.group * 7919)) % of;
        put!(self.bytes, "\"{}\":", field.names[name]);
        if !field.tag.is_empty() {
            put!(self.bytes, "{}", field.tag[constant(field.tag.len() as u64) as usize]);
        } else if field.tag_count > 0 {
            put!(self.bytes, "\"{}-{:04}\"", field.id, constant(field.tag_count));
        } else if !field.r#enum.is_empty() {
            if random.percent(5.0) {
                *walk = random.fraction() as f32;
            }
            let choices = &field.r#enum;
            let choice = ((*walk * choices.len() as f32) as usize).min(choices.len() - 1);
            put!(self.bytes, "\"{}\"", choices[choice]);
        } else {
            *walk = (*walk + (random.fraction() as f32 - 0.5) * 0.04).clamp(0.0, 1.0);
            self.number(field, generation, field.lo + (field.hi - field.lo) * *walk as f64, random);
        }
        self.end(start);
    }

    fn number(&mut self, field: &Field, generation: u64, value: f64, random: &mut Random) {
        let representation = field.types.get(generation as usize % field.types.len().max(1));
        match representation.map_or("float", String::as_str) {
            "int" => push_number(&mut self.bytes, value, 0),
            "string" => {
                self.bytes.push(b'"');
                if field.bad_pct > 0.0 && random.percent(field.bad_pct) {
                    self.bytes.extend_from_slice([&b"N/A"[..], b"err", b"-"][random.below(3) as usize]);
                } else {
                    push_number(&mut self.bytes, value, field.dec);
                }
                self.bytes.push(b'"');
            }
            _ => push_number(&mut self.bytes, value, field.dec),
        }
    }

    /// Adds names that nobody declares: those with a range, then a few of the vocabulary.
    pub fn undeclared(&mut self, undeclared: &Undeclared, vocabulary: &[String], random: &mut Random) {
        for named in &undeclared.named {
            if !random.percent(named.p * 100.0) {
                continue;
            }
            let value = named.lo + (named.hi - named.lo) * random.fraction();
            let start = self.bytes.len();
            put!(self.bytes, "\"{}\":", named.name);
            let quote: &[u8] = if random.percent(named.string_pct) { b"\"" } else { b"" };
            self.bytes.extend_from_slice(quote);
            push_number(&mut self.bytes, value, named.dec);
            self.bytes.extend_from_slice(quote);
            self.end(start);
        }
        if vocabulary.is_empty() {
            return;
        }
        let number = random.exponential(undeclared.mean).floor() as u64;
        let mut last = usize::MAX;
        for _ in 0..number.min(6) {
            let draw = random.fraction();
            let word = ((draw * draw * draw) * vocabulary.len() as f64) as usize; // the first names are the frequent ones
            if word != last {
                self.word(word, &vocabulary[word], random);
            }
            last = word;
        }
    }

    /// Adds a word of the vocabulary, unless the event has it already: a key occurs once in an object.
    fn word(&mut self, word: usize, name: &str, random: &mut Random) {
        let start = self.bytes.len();
        match word % 3 {
            0 => put!(self.bytes, "\"{name}\":{}", random.below(1000)),
            1 => put!(self.bytes, "\"{name}\":\"v{}\"", random.below(50)),
            _ => put!(self.bytes, "\"{name}\":{}", random.percent(50.0)),
        }
        let key_end = start + name.len() + 2;
        let key = &self.bytes[start..key_end];
        if self.members.iter().any(|&(from, to)| self.bytes[from..to].starts_with(key)) {
            self.bytes.truncate(start);
        } else {
            self.end(start);
        }
    }

    /// The event as a line, its members rotated by `rotation`.
    pub fn line(&self, rotation: usize) -> Vec<u8> {
        let mut line = Vec::with_capacity(self.bytes.len() + self.members.len() + 3);
        line.push(b'{');
        for i in 0..self.members.len() {
            let (start, end) = self.members[(i + rotation) % self.members.len()];
            if i > 0 {
                line.push(b',');
            }
            line.extend_from_slice(&self.bytes[start..end]);
        }
        line.extend_from_slice(b"}\n");
        line
    }
}
