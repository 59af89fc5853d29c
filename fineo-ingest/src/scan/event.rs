//! Reads an event into flattened names and texts, borrowing whatever stands there as it is.

use fineo_core::{Code, Rejection};

use super::{
    frame::NESTING_MAX,
    names::{NOBODY, NameFault, Names, ROOT},
    text::{StringEnd, string_end, unescape},
    value::{Fault, array_end, number_end, skip_space, word_end},
};

/// How a value was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    String = 1,
    Number = 2,
    Boolean = 3,
    Array = 4,
    EmptyObject = 5,
}

/// One field: the number of its flattened name, and where its text stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FieldCell {
    pub(crate) name: u32,
    pub(crate) kind: Kind,
    is_scratch: bool,
    start: u32,
    end: u32,
}

impl FieldCell {
    #[inline]
    fn new(name: u32, kind: Kind, is_scratch: bool, range: std::ops::Range<usize>) -> Self {
        let place = |at: usize| u32::try_from(at).expect("an event is smaller than 4 GiB");
        Self { name, kind, is_scratch, start: place(range.start), end: place(range.end) }
    }
}

/// The fields of the event read last. Its buffers serve every event.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    cells: Vec<FieldCell>,
    scratch: String,
    levels: Vec<Level>,
    faulty: Vec<u32>,
}

/// An object that has begun.
#[derive(Debug, Clone, Copy)]
struct Level {
    node: u32,
    /// The node read last in it.
    previous: u32,
}

impl Fields {
    pub(crate) fn cells(&self) -> &[FieldCell] {
        &self.cells
    }

    /// The text of a cell of the event that was read from `source`.
    #[inline]
    pub(crate) fn text<'a>(&'a self, source: &'a str, cell: &FieldCell) -> &'a str {
        let range = cell.start as usize..cell.end as usize;
        if cell.is_scratch { &self.scratch[range] } else { &source[range] }
    }

    /// The bytes of that text.
    #[inline]
    pub(crate) fn bytes<'a>(&'a self, source: &'a str, cell: &FieldCell) -> &'a [u8] {
        let text = if cell.is_scratch { &self.scratch } else { source };
        &text.as_bytes()[cell.start as usize..cell.end as usize]
    }

    pub(crate) fn clear(&mut self) {
        self.cells.clear();
        self.scratch.clear();
        self.levels.clear();
        self.faulty.clear();
    }

    /// Adds a field without reading JSON; false when the event has it already.
    pub(crate) fn push_text(
        &mut self,
        names: &mut Names,
        name: &str,
        text: &str,
        event: u64,
    ) -> Result<bool, Rejection> {
        let node = names.node(ROOT, NOBODY, name).ok_or_else(|| *name_too_long())?;
        let name = names.node_mut(node).name;
        let start = self.scratch.len();
        self.scratch.push_str(text);
        Ok(self.add(names, FieldCell::new(name, Kind::String, true, start..self.scratch.len()), event))
    }

    /// Adds a field; false when the event has it already.
    #[inline]
    fn add(&mut self, names: &mut Names, cell: FieldCell, event: u64) -> bool {
        let known = names.name_mut(cell.name);
        if known.seen_in == event {
            return false;
        }
        known.seen_in = event;
        if known.fault.is_some() {
            self.faulty.push(cell.name);
        }
        self.cells.push(cell);
        true
    }

    /// Reads the event `source`; its cells replace those of the last one.
    pub(crate) fn read(&mut self, names: &mut Names, source: &str, fields_max: usize) -> Result<(), Rejection> {
        self.clear();
        if u32::try_from(source.len()).is_err() {
            return Err(Rejection::new(Code::EventTooLarge, "the event is larger than any event may be"));
        }
        let event = names.begin_event();
        let read = Reading { fields: self, names, source, event, fields_max }.object();
        read.map_err(|rejection| *rejection)?;
        self.check_names(names)
    }

    /// Rejects the event if a name of it is not legal.
    pub(crate) fn check_names(&self, names: &Names) -> Result<(), Rejection> {
        if self.faulty.is_empty() {
            return Ok(());
        }
        let reserved: Vec<&str> = self.named(names, NameFault::Reserved);
        if !reserved.is_empty() {
            let list = reserved.join(", ");
            return Err(Rejection::new(
                Code::NameReserved,
                format!("names that begin with _fineo_ are reserved, rename: {list}"),
            ));
        }
        let unreadable: Vec<String> =
            self.named(names, NameFault::Unreadable).iter().map(|name| format!("{name:?}")).collect();
        Err(Rejection::new(
            Code::NameUnreadable,
            format!("a name has 1-255 bytes and no control character, not so: {}", unreadable.join(", ")),
        ))
    }

    fn named<'a>(&self, names: &'a Names, fault: NameFault) -> Vec<&'a str> {
        let faulty = self.faulty.iter().map(|name| names.name(*name));
        faulty.filter(|name| name.fault == Some(fault)).map(|name| &*name.text).collect()
    }
}

/// What was read, or why it cannot be: small, for it is handed on for every key and value.
type Read<T> = Result<T, Box<Rejection>>;

struct Reading<'a> {
    fields: &'a mut Fields,
    names: &'a mut Names,
    source: &'a str,
    event: u64,
    fields_max: usize,
}

impl Reading<'_> {
    fn object(&mut self) -> Read<()> {
        let bytes = self.source.as_bytes();
        let mut at = skip_space(bytes, 0);
        match bytes.get(at) {
            Some(b'{') => {}
            Some(_) | None => return Err(self.not_an_object()),
        }
        self.fields.levels.push(Level { node: ROOT, previous: NOBODY });
        at = skip_space(bytes, at + 1);
        if bytes.get(at) == Some(&b'}') {
            self.fields.levels.pop();
            at += 1;
        }
        while let Some(level) = self.fields.levels.last().copied() {
            let (node, value) = self.key(level, at)?;
            if let Some(level) = self.fields.levels.last_mut() {
                level.previous = node;
            }
            at = match self.value(node, value)? {
                Some(end) => skip_space(bytes, end),
                // An object begins: its first key is next.
                None => {
                    at = skip_space(bytes, value + 1);
                    continue;
                }
            };
            at = self.after_value(at)?;
        }
        let end = skip_space(bytes, at);
        if end == bytes.len() { Ok(()) } else { Err(unreadable(end)) }
    }

    /// Goes to the next key, or behind the event when its last object ends.
    fn after_value(&mut self, mut at: usize) -> Read<usize> {
        let bytes = self.source.as_bytes();
        loop {
            match bytes.get(at) {
                Some(b',') => return Ok(skip_space(bytes, at + 1)),
                Some(b'}') => {
                    self.fields.levels.pop();
                    if self.fields.levels.is_empty() {
                        return Ok(at + 1);
                    }
                    at = skip_space(bytes, at + 1);
                }
                Some(_) | None => return Err(unreadable(at)),
            }
        }
    }

    /// Reads the key at `at`; answers its node and where its value begins.
    fn key(&mut self, level: Level, at: usize) -> Read<(u32, usize)> {
        let bytes = self.source.as_bytes();
        if bytes.get(at) != Some(&b'"') {
            return Err(unreadable(at));
        }
        let guess = self.names.guess(level.node, level.previous);
        let (node, quote) = match self.names.confirm(guess, &bytes[at + 1..]) {
            Some(length) => (guess, at + 1 + length),
            None => self.new_key(level, at)?,
        };
        let known = self.names.node_mut(node);
        if known.seen_in == self.event {
            return Err(self.duplicate(node));
        }
        known.seen_in = self.event;
        let mut colon = quote + 1;
        if bytes.get(colon) != Some(&b':') {
            colon = skip_space(bytes, colon);
            if bytes.get(colon) != Some(&b':') {
                return Err(unreadable(colon));
            }
        }
        Ok((node, skip_space(bytes, colon + 1)))
    }

    fn new_key(&mut self, level: Level, at: usize) -> Read<(u32, usize)> {
        let StringEnd::Closed { at: quote, is_escaped } = string_end(self.source.as_bytes(), at + 1) else {
            return Err(unreadable(at));
        };
        let inside = &self.source[at + 1..quote];
        let node = if is_escaped {
            let mut key = String::new();
            unescape(inside, &mut key).ok_or_else(|| unreadable(at))?;
            self.names.node(level.node, level.previous, &key)
        } else {
            self.names.node(level.node, level.previous, inside)
        };
        Ok((node.ok_or_else(name_too_long)?, quote))
    }

    /// Reads the value of `node` at `at`; answers its end, or none when an object with keys begins.
    fn value(&mut self, node: u32, at: usize) -> Read<Option<usize>> {
        let source = self.source;
        let bytes = source.as_bytes();
        let fault = |fault| rejection(fault);
        let (kind, end) = match bytes.get(at) {
            Some(b'"') => return self.string(node, at).map(Some),
            Some(b'-' | b'0'..=b'9') => (Kind::Number, number_end(bytes, at).map_err(fault)?),
            Some(b'{') => {
                let inside = skip_space(bytes, at + 1);
                let depth = self.fields.levels.len();
                if depth >= NESTING_MAX as usize {
                    return Err(rejection(Fault::TooDeep));
                }
                if bytes.get(inside) != Some(&b'}') {
                    self.fields.levels.push(Level { node, previous: NOBODY });
                    return Ok(None);
                }
                // Always `{}`, however much space is inside.
                let start = self.fields.scratch.len();
                self.fields.scratch.push_str("{}");
                self.cell(node, Kind::EmptyObject, true, start..start + 2)?;
                return Ok(Some(inside + 1));
            }
            Some(b'[') => {
                let depth = u32::try_from(self.fields.levels.len()).unwrap_or(u32::MAX);
                (Kind::Array, array_end(source, at, depth).map_err(fault)?)
            }
            Some(b't') => (Kind::Boolean, word_end(bytes, at, b"true").map_err(fault)?),
            Some(b'f') => (Kind::Boolean, word_end(bytes, at, b"false").map_err(fault)?),
            Some(b'n') => return word_end(bytes, at, b"null").map_err(fault).map(Some),
            Some(_) | None => return Err(unreadable(at)),
        };
        self.cell(node, kind, false, at..end)?;
        Ok(Some(end))
    }

    fn string(&mut self, node: u32, at: usize) -> Read<usize> {
        let StringEnd::Closed { at: quote, is_escaped } = string_end(self.source.as_bytes(), at + 1) else {
            return Err(unreadable(at));
        };
        if is_escaped {
            let start = self.fields.scratch.len();
            unescape(&self.source[at + 1..quote], &mut self.fields.scratch).ok_or_else(|| unreadable(at))?;
            let end = self.fields.scratch.len();
            self.cell(node, Kind::String, true, start..end)?;
        } else {
            self.cell(node, Kind::String, false, at + 1..quote)?;
        }
        Ok(quote + 1)
    }

    fn cell(&mut self, node: u32, kind: Kind, is_scratch: bool, at: std::ops::Range<usize>) -> Read<()> {
        if self.fields.cells.len() >= self.fields_max {
            return Err(self.too_many());
        }
        let name = self.names.node_mut(node).name;
        let is_new = self.fields.add(self.names, FieldCell::new(name, kind, is_scratch, at), self.event);
        if is_new { Ok(()) } else { Err(self.duplicate(node)) }
    }

    #[cold]
    fn too_many(&self) -> Box<Rejection> {
        let message = format!("an event has at most {} fields: send fewer, or arrays", self.fields_max);
        Box::new(Rejection::new(Code::TooManyFields, message))
    }

    #[cold]
    fn duplicate(&mut self, node: u32) -> Box<Rejection> {
        let name = self.names.node_mut(node).name;
        Box::new(duplicate_key(&self.names.name(name).text))
    }

    #[cold]
    fn not_an_object(&self) -> Box<Rejection> {
        match serde_json::from_str::<serde::de::IgnoredAny>(self.source) {
            Ok(_) => Box::new(Rejection::new(Code::NotAnObject, "an event is a JSON object")),
            Err(_) => unreadable(0),
        }
    }
}

pub(crate) fn duplicate_key(name: &str) -> Rejection {
    Rejection::new(Code::DuplicateKey, format!("the name {name:?} occurs twice: send it once"))
}

#[cold]
fn name_too_long() -> Box<Rejection> {
    Box::new(Rejection::new(Code::NameUnreadable, "a name has at most 255 bytes, nested ones with their dots"))
}

#[cold]
fn unreadable(at: usize) -> Box<Rejection> {
    Box::new(Rejection::new(Code::JsonUnreadable, format!("not JSON from byte {at} of the event on")))
}

#[cold]
fn rejection(fault: Fault) -> Box<Rejection> {
    match fault {
        Fault::Unreadable(at) => unreadable(at),
        Fault::TooDeep => {
            Box::new(Rejection::new(Code::TooDeep, format!("an event is nested at most {NESTING_MAX} deep")))
        }
        Fault::DuplicateKey(at) => Box::new(Rejection::new(
            Code::DuplicateKey,
            format!("a key occurs twice in the object at byte {at} of the event"),
        )),
    }
}

#[cfg(test)]
mod tests;
