//! Whose event it is, where a field of it says so.

use std::collections::HashMap;

use fineo_core::{Code, Rejection, Result, TenantId};
use foldhash::fast::RandomState;
use memchr::{memchr, memchr_iter, memmem::Finder};

use crate::{
    Limits,
    envelope::Format,
    scan::{delimited, event::Fields, names::Names, value::skip_space},
};

/// More tenants than this are not remembered.
const TENANTS_MAX: usize = 10_000;

/// An event on its way to its tenant.
#[derive(Debug, Clone, Copy)]
pub(super) struct Event<'a> {
    pub(super) bytes: &'a [u8],
    /// The header line of CSV.
    pub(super) header: Option<&'a [u8]>,
    /// Whether it is an object without objects or arrays inside.
    pub(super) is_flat: bool,
}

/// Tells the tenant of events.
#[derive(Debug)]
pub(super) enum Router {
    One(TenantId),
    Field(Box<ByField>),
}

/// Tells the tenant by a top-level key.
#[derive(Debug)]
pub(super) struct ByField {
    key: String,
    /// Finds the key with its quotes.
    finder: Finder<'static>,
    names: Names,
    fields: Fields,
    known: HashMap<String, TenantId, RandomState>,
    /// The tenant of the last event.
    last: Option<TenantId>,
}

impl Router {
    pub(super) fn tenant(&mut self, event: Event<'_>, format: Format, limits: &Limits) -> Result<TenantId, Rejection> {
        match self {
            Self::One(tenant) => Ok(tenant.clone()),
            Self::Field(field) => field.tenant(event, format, limits),
        }
    }
}

impl ByField {
    /// # Errors
    ///
    /// `Invalid` when no field may be called `key`.
    pub(super) fn new(key: &str) -> Result<Self> {
        fineo_schema::name::check_field(key)?;
        Ok(Self {
            key: key.to_owned(),
            finder: Finder::new(&format!("\"{key}\"")).into_owned(),
            names: Names::new(),
            fields: Fields::default(),
            known: HashMap::default(),
            last: None,
        })
    }

    fn tenant(&mut self, event: Event<'_>, format: Format, limits: &Limits) -> Result<TenantId, Rejection> {
        if event.is_flat
            && format == Format::Json
            && let Some(text) = glance(event.bytes, &self.finder)
        {
            return self.of_text(text);
        }
        let text = self.read(event, format, limits)?;
        self.of_text(&text)
    }

    fn of_text(&mut self, text: &str) -> Result<TenantId, Rejection> {
        if let Some(last) = &self.last
            && last.as_str() == text
        {
            return Ok(last.clone());
        }
        let tenant = match self.known.get(text) {
            Some(tenant) => tenant.clone(),
            None => {
                let tenant =
                    TenantId::new(text).map_err(|error| Rejection::new(Code::TenantInvalid, error.to_string()))?;
                if self.known.len() >= TENANTS_MAX {
                    self.known.clear();
                }
                self.known.insert(text.to_owned(), tenant.clone());
                tenant
            }
        };
        self.last = Some(tenant.clone());
        Ok(tenant)
    }

    /// Reads the whole event; answers what stands under the key.
    fn read(&mut self, event: Event<'_>, format: Format, limits: &Limits) -> Result<String, Rejection> {
        let Self { key, names, fields, .. } = self;
        names.forget_if_full();
        let source = match format {
            Format::Json => {
                let source = std::str::from_utf8(event.bytes)
                    .map_err(|_| Rejection::new(Code::BadUtf8, "the event is not UTF-8"))?;
                let read = fields.read(names, source, limits.fields_max);
                // Names are stage raw's to judge; whose event it is can be told all the same.
                if let Err(rejection) = read
                    && rejection.code != Code::NameReserved
                    && rejection.code != Code::NameUnreadable
                {
                    return Err(rejection);
                }
                source
            }
            Format::Csv => {
                let joined = [event.header.unwrap_or_default(), event.bytes].concat();
                delimited::read(fields, names, &joined, limits.fields_max)?;
                ""
            }
        };
        let number = names.number(key);
        let cell = fields.cells().iter().find(|cell| Some(cell.name) == number);
        match cell {
            Some(cell) => Ok(fields.text(source, cell).to_owned()),
            None => Err(Rejection::new(Code::TenantMissing, format!("the event has no {key:?} to say whose it is"))),
        }
    }
}

/// The text under the key that `finder` finds with its quotes, of an event without objects or arrays inside; none where
/// it takes reading the event to be sure.
///
/// Without a backslash in the event every quote begins or ends a string, so that an even number of quotes before the
/// key says that it begins one, and a colon behind it that it is a key. A key that occurs once has no twin. What else
/// is wrong with the event is stage raw's to say.
fn glance<'a>(event: &'a [u8], finder: &Finder<'_>) -> Option<&'a str> {
    if memchr(b'\\', event).is_some() {
        return None;
    }
    let at = finder.find(event)?;
    let behind = at + finder.needle().len();
    let is_once = finder.find(&event[behind..]).is_none();
    let begins_string = memchr_iter(b'"', &event[..at]).count().is_multiple_of(2);
    let colon = skip_space(event, behind);
    if !is_once || !begins_string || event.get(colon) != Some(&b':') {
        return None;
    }
    let value = skip_space(event, colon + 1);
    if event.get(value) != Some(&b'"') {
        return None;
    }
    let length = memchr(b'"', &event[value + 1..])?;
    std::str::from_utf8(&event[value + 1..value + 1 + length]).ok()
}

#[cfg(test)]
mod tests;
