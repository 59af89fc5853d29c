//! Finds where the events of a JSON body begin and end, without reading what they say.
//!
//! Only brackets and strings are followed. A body may be an object, an array of objects, or objects one after
//! another. An event that cannot be followed to its end ends with its line, so that its neighbours survive.

mod flat;

use memchr::memchr;

use super::text::{StringEnd, string_end};

/// A deeper nesting than this cannot be followed, whatever the setting.
pub(crate) const NESTING_MAX: u32 = 64;
/// How often a body may be looked at again from the line after a broken event.
const RESTARTS_MAX: u32 = 64;

/// What was found; positions are those of the window that was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) is_broken: bool,
    pub(crate) depth: u32,
    /// No fewer keys than the event has.
    pub(crate) keys: u32,
}

/// Follows a body that may come in pieces.
#[derive(Debug)]
pub(crate) struct Framer {
    at: usize,
    value: Option<Value>,
    in_array: bool,
    restarts_left: u32,
}

/// An event that has begun.
#[derive(Debug, Clone, Copy)]
struct Value {
    start: usize,
    at: usize,
    depth: u32,
    deepest: u32,
    /// One bit per level: whether it is an array.
    arrays: u64,
    keys: u32,
    in_string: bool,
    begins_line: bool,
    /// It cannot be followed any more: only the end of its line is looked for.
    is_lost: bool,
    previous: u8,
}

enum Step {
    Done(usize),
    /// It cannot go on behind this position.
    Broken(usize),
    More,
}

impl Framer {
    pub(crate) fn new() -> Self {
        Self { at: 0, value: None, in_array: false, restarts_left: RESTARTS_MAX }
    }

    /// Begins at this byte of the window.
    pub(crate) fn skip(&mut self, count: usize) {
        self.at += count;
    }

    /// Whether nothing but space is left in the window.
    pub(crate) fn is_at_end(&self, window: &[u8]) -> bool {
        self.value.is_none() && window[self.at.min(window.len())..].iter().all(u8::is_ascii_whitespace)
    }

    /// The bytes of the window that are no longer needed.
    pub(crate) fn consumed(&self) -> usize {
        self.value.map_or(self.at, |value| value.start)
    }

    /// How long the event is that has begun and not ended.
    pub(crate) fn pending_bytes(&self) -> usize {
        self.value.map_or(0, |value| value.at - value.start)
    }

    /// The window now begins `count` bytes later; some of what is pending may be cut off.
    pub(crate) fn shift(&mut self, count: usize) {
        self.at = self.at.saturating_sub(count);
        self.restarts_left = RESTARTS_MAX;
        if let Some(value) = &mut self.value {
            value.start = value.start.saturating_sub(count);
            value.at = value.at.saturating_sub(count);
        }
    }

    /// The next event of `window`. None when there is no more, or, unless `is_end`, when more bytes must come.
    pub(crate) fn next(&mut self, window: &[u8], is_end: bool) -> Option<Frame> {
        let mut value = match self.value.take() {
            Some(value) => value,
            None => {
                let value = self.begin(window, is_end)?;
                if let Some(frame) = flat::frame(window, value.start) {
                    self.at = frame.end;
                    return Some(frame);
                }
                value
            }
        };
        if value.is_lost {
            return self.lost(value, window, is_end);
        }
        if value.depth == 0 && !value.in_string {
            return self.scalar(value, window, is_end);
        }
        match value.follow(window) {
            Step::Done(end) => {
                self.at = end;
                Some(Frame { start: value.start, end, is_broken: false, depth: value.deepest, keys: value.keys })
            }
            // Its line may go on in the bytes to come.
            Step::Broken(end) if end == window.len() && !is_end && !self.may_restart(&value, window) => {
                value.is_lost = true;
                value.at = end;
                self.value = Some(value);
                None
            }
            Step::Broken(end) => Some(self.broken(&value, end, window)),
            Step::More if is_end => Some(self.broken(&value, window.len(), window)),
            Step::More => {
                self.value = Some(value);
                None
            }
        }
    }

    /// Whether a broken event ends with its first line, which is there already.
    fn may_restart(&self, value: &Value, window: &[u8]) -> bool {
        self.restarts_left > 0 && memchr(b'\n', &window[value.start..]).is_some()
    }

    /// Goes on to the end of the line of an event that is broken.
    fn lost(&mut self, mut value: Value, window: &[u8], is_end: bool) -> Option<Frame> {
        match memchr(b'\n', &window[value.at..]) {
            None if !is_end => {
                value.at = window.len();
                self.value = Some(value);
                None
            }
            newline => Some(self.broken(&value, newline.map_or(window.len(), |length| value.at + length), window)),
        }
    }

    /// Goes to the first byte of the next value.
    fn begin(&mut self, window: &[u8], is_end: bool) -> Option<Value> {
        while let Some(byte) = window.get(self.at) {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' | b',' => self.at += 1,
                b'[' if !self.in_array => {
                    self.in_array = true;
                    self.at += 1;
                }
                b']' if self.in_array => {
                    self.in_array = false;
                    self.at += 1;
                }
                _ => return Some(Value::new(self.at)),
            }
        }
        if is_end && self.in_array {
            self.in_array = false;
            let mut value = Value::new(self.at);
            value.in_string = true;
            return Some(value);
        }
        None
    }

    /// A number or a word where an event should be: it ends where the next thing can begin.
    fn scalar(&mut self, mut value: Value, window: &[u8], is_end: bool) -> Option<Frame> {
        if let Some(opening @ (b'{' | b'[' | b'"')) = window.get(value.start) {
            value.enter(*opening);
            value.at += 1;
            self.value = Some(value);
            return self.next(window, is_end);
        }
        let rest = &window[value.start..];
        let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        let length = rest.iter().position(|byte| !is_word(byte));
        let length = match length {
            None if !is_end => {
                value.at = window.len();
                self.value = Some(value);
                return None;
            }
            None => rest.len(),
            Some(length) => length,
        };
        let word = &rest[..length];
        let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(word).is_ok();
        let ends_well = rest.get(length).is_none_or(|byte| b" \t\r\n,]{[\"".contains(byte));
        if is_json && ends_well {
            self.at = value.start + length;
            return Some(Frame { start: value.start, end: self.at, is_broken: false, depth: 0, keys: 0 });
        }
        match memchr(b'\n', rest) {
            None if !is_end => {
                value.at = window.len();
                self.value = Some(value);
                None
            }
            newline => Some(self.broken(&value, value.start + newline.unwrap_or(rest.len()), window)),
        }
    }

    /// Ends a broken event at its first line, as long as looking again is affordable; else at `end`.
    fn broken(&mut self, value: &Value, end: usize, window: &[u8]) -> Frame {
        let first_line = memchr(b'\n', &window[value.start..end]).map(|length| value.start + length);
        let end = match first_line {
            Some(line_end) if self.restarts_left > 0 => {
                self.restarts_left -= 1;
                line_end
            }
            Some(_) | None => end,
        };
        self.at = end;
        // What swallows the rest of the body swallows the end of its array.
        self.in_array = self.in_array && end < window.len();
        Frame { start: value.start, end, is_broken: true, depth: value.deepest, keys: value.keys }
    }
}

impl Value {
    fn new(start: usize) -> Self {
        Self {
            start,
            at: start,
            depth: 0,
            deepest: 0,
            arrays: 0,
            keys: 0,
            in_string: false,
            begins_line: false,
            is_lost: false,
            previous: 0,
        }
    }

    fn enter(&mut self, byte: u8) {
        match byte {
            b'"' => self.in_string = true,
            _ => {
                self.arrays = (self.arrays << 1) | u64::from(byte == b'[');
                self.depth += 1;
                self.deepest = self.deepest.max(self.depth);
            }
        }
        self.previous = byte;
    }

    fn is_in_array(&self) -> bool {
        self.arrays & 1 == 1
    }

    /// Whether an object may begin here; where nesting is too deep to be known, it may.
    fn may_open(&self) -> bool {
        self.deepest > NESTING_MAX
            || match self.previous {
                b':' => !self.is_in_array(),
                b'[' | b',' => self.is_in_array(),
                _ => false,
            }
    }

    fn follow(&mut self, window: &[u8]) -> Step {
        loop {
            if self.in_string {
                match string_end(window, self.at) {
                    StringEnd::Closed { at, .. } => {
                        self.at = at + 1;
                        self.in_string = false;
                        self.previous = b'"';
                        if self.depth == 0 {
                            return Step::Done(self.at);
                        }
                    }
                    StringEnd::Control(at) => return Step::Broken(line_end(window, at)),
                    StringEnd::Open(at) => {
                        self.at = at;
                        return Step::More;
                    }
                }
            }
            match self.follow_structure(window) {
                Some(step) => return step,
                None => continue,
            }
        }
    }

    /// Goes on until a string begins (none) or something is decided.
    fn follow_structure(&mut self, window: &[u8]) -> Option<Step> {
        let mut at = self.at;
        let step = loop {
            let Some(byte) = window.get(at) else { break Some(Step::More) };
            match byte {
                b'"' => {
                    at += 1;
                    self.in_string = true;
                    break None;
                }
                b':' => {
                    self.keys = self.keys.saturating_add(1);
                    self.previous = b':';
                }
                b'{' | b'[' => {
                    if *byte == b'{' && self.begins_line && !self.may_open() {
                        let line = memchr::memrchr(b'\n', &window[..at]).unwrap_or(at);
                        break Some(Step::Broken(line));
                    }
                    self.enter(*byte);
                }
                b'}' | b']' => {
                    let fits = self.is_in_array() == (*byte == b']') || self.deepest > NESTING_MAX;
                    if !fits {
                        break Some(Step::Broken(line_end(window, at)));
                    }
                    self.depth -= 1;
                    self.arrays >>= 1;
                    self.previous = *byte;
                    if self.depth == 0 {
                        break Some(Step::Done(at + 1));
                    }
                }
                b'\n' => {
                    self.begins_line = true;
                    at += 1;
                    continue;
                }
                b' ' | b'\t' | b'\r' => {
                    at += 1;
                    continue;
                }
                _ => self.previous = *byte,
            }
            self.begins_line = false;
            at += 1;
        };
        self.at = at;
        step
    }
}

fn line_end(window: &[u8], at: usize) -> usize {
    memchr(b'\n', &window[at..]).map_or(window.len(), |length| at + length)
}

#[cfg(test)]
mod tests;
