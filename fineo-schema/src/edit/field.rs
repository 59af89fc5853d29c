//! Steps about fields: add, rename, alias, retype, hide, undeclare, delete, rule out.

use fineo_core::{Cover, Error, ErrorKind, Result};

use super::{
    Edit, FIELDS_MAX, NAMES_MAX, clash,
    metric::{move_to_front, remove_alias},
    too_many,
};
use crate::{
    FieldType, Unit,
    document::{FieldDocument, Name},
    name,
};

impl Edit {
    pub(super) fn add_field(
        &mut self,
        metric: &str,
        wanted: &str,
        field_type: &str,
        aliases: &[String],
        unit: Option<&str>,
    ) -> Result<()> {
        let number = self.metric_number(metric)?;
        let parsed: FieldType = field_type.parse()?;
        let unit = unit.map(Unit::new).transpose()?;
        if unit.is_some() && !parsed.is_number() {
            return Err(Error::invalid("only numbers have units").with("field", wanted).with("type", parsed));
        }
        if let Some(holder) = self.holder_of_claimed_field_name(number, wanted) {
            let document = self.document(number);
            let display = document.fields.get(&holder).map_or("", |field| &field.names[0]);
            return Err(match display == wanted {
                true => Error::new(ErrorKind::AlreadyExists, "the field is declared already")
                    .with("field", wanted)
                    .with("hint", "to read it as another type: field retype, over HTTP the step retype_field"),
                false => clash("field", wanted, display),
            });
        }
        self.check_free_field_name(number, wanted)?;
        self.declare_for_field(number)?;
        let document = self.document(number);
        if document.fields.len() >= FIELDS_MAX {
            return Err(too_many("declared fields of a metric", FIELDS_MAX));
        }
        let id = document.next_field.max(1);
        document.next_field = id + 1;
        let field = FieldDocument {
            names: vec![wanted.into()],
            field_type: parsed.to_string(),
            unit: unit.map(|unit| unit.to_string()),
            conversions: Vec::new(),
            hidden_since: None,
        };
        let name = field.names[0].clone();
        document.fields.insert(id, field);
        self.know_field(number, &name);
        self.note(format!("metric {}: declare field {wanted} as {parsed} (f{id})", self.display(number)))?;
        self.warn_of_looks(Some(number), u64::from(id), wanted)?;
        for alias in aliases.iter().filter(|alias| !alias.is_empty()) {
            self.claim_field_name(number, id, alias)?;
        }
        Ok(())
    }

    fn check_free_field_name(&mut self, metric: u64, wanted: &str) -> Result<()> {
        name::check_field(wanted)?;
        let names_at_most = self.field_names_at_most(metric);
        let document = self.document(metric);
        if document.ruled_out.iter().any(|name| **name == *wanted) {
            return Err(Error::invalid("the field is ruled out; rule it in first").with("field", wanted));
        }
        let names = || document.fields.values().map(|field| field.names.len()).sum::<usize>();
        if names_at_most >= NAMES_MAX && names() >= NAMES_MAX {
            return Err(too_many("names of a metric's fields", NAMES_MAX));
        }
        Ok(())
    }

    /// Gives the field a name. An undeclared field of that name is thereby taken over.
    fn claim_field_name(&mut self, metric: u64, field: u32, wanted: &str) -> Result<()> {
        match self.holder_of_claimed_field_name(metric, wanted) {
            Some(holder) if holder == field => return Ok(()),
            Some(holder) => {
                let document = self.document(metric);
                let display = document.fields.get(&holder).map_or("", |field| &field.names[0]);
                return Err(clash("field", wanted, display));
            }
            None => self.check_free_field_name(metric, wanted)?,
        }
        let display = self.display(metric);
        let name: Name = wanted.into();
        self.know_field(metric, &name);
        let changed = self.field(metric, field)?;
        changed.names.push(name);
        let line = format!("metric {display}: field {}: add alias {wanted}", changed.names[0]);
        self.note(line)?;
        self.warn_of_looks(Some(metric), u64::from(field), wanted)
    }

    pub(super) fn field(&mut self, metric: u64, field: u32) -> Result<&mut FieldDocument> {
        let found = self.document(metric).fields.get_mut(&field);
        found.ok_or_else(|| Error::internal("a field has no document"))
    }

    pub(super) fn rename_field(&mut self, metric: &str, field: &str, to: &str) -> Result<()> {
        let (number, id) = self.field_number(metric, field)?;
        let before = self.field(number, id)?.names[0].clone();
        if *before == *to {
            return Ok(());
        }
        self.claim_field_name(number, id, to)?;
        move_to_front(&mut self.field(number, id)?.names, to);
        self.note(format!("metric {metric}: rename field {before} to {to}; {before} stays as its first alias"))
    }

    pub(super) fn add_field_alias(&mut self, metric: &str, field: &str, alias: &str) -> Result<()> {
        let (number, id) = self.field_number(metric, field)?;
        self.claim_field_name(number, id, alias)
    }

    pub(super) fn remove_field_alias(&mut self, metric: &str, field: &str, alias: &str) -> Result<()> {
        let (number, id) = self.field_number(metric, field)?;
        let changed = self.field(number, id)?;
        changed.check_keeps_hidden(alias)?;
        if changed.conversions.iter().any(|stated| stated.name.as_deref() == Some(alias)) {
            return Err(Error::invalid("a conversion is stated for the alias; take it back first").with("alias", alias));
        }
        remove_alias(&mut changed.names, alias)?;
        self.note(format!("metric {metric}: field {field}: remove alias {alias}"))
    }

    pub(super) fn rank_field_aliases(&mut self, metric: &str, field: &str, aliases: &[String]) -> Result<()> {
        let (number, id) = self.field_number(metric, field)?;
        let changed = self.field(number, id)?;
        let mut places = Vec::with_capacity(aliases.len());
        for alias in aliases {
            let place = changed.names.iter().skip(1).position(|name| **name == **alias);
            let place = place.ok_or_else(|| Error::not_found("there is no such alias").with("alias", alias))? + 1;
            if places.contains(&place) {
                return Err(Error::invalid("an alias is listed twice").with("alias", alias));
            }
            places.push(place);
        }
        let ranked: Vec<Name> = places.iter().map(|place| Name::clone(&changed.names[*place])).collect();
        places.sort_unstable();
        if places.iter().zip(&ranked).all(|(place, name)| changed.names[*place] == *name) {
            return Ok(());
        }
        for (place, name) in places.into_iter().zip(ranked) {
            changed.names[place] = name;
        }
        let names = changed.names.join(", ");
        self.note(format!("metric {metric}: field {field}: values count in this order of names: {names}"))
    }

    pub(super) fn retype_field(&mut self, metric: &str, field: &str, field_type: &str) -> Result<()> {
        let (number, id) = self.field_number(metric, field)?;
        let parsed: FieldType = field_type.parse()?;
        let changed = self.field(number, id)?;
        if !parsed.is_number() && (changed.unit.is_some() || !changed.conversions.is_empty()) {
            return Err(Error::invalid("the field has a unit or conversions, which only numbers have")
                .with("field", field)
                .with("type", parsed));
        }
        if changed.field_type == parsed.to_string() {
            return Ok(());
        }
        let before = std::mem::replace(&mut changed.field_type, parsed.to_string());
        self.note(format!("metric {metric}: field {field}: read as {parsed} instead of {before}"))
    }

    pub(super) fn hide_field(&mut self, metric: &str, field: &str, is_hidden: bool) -> Result<()> {
        let (number, id) = self.field_number(metric, field)?;
        let now = self.now.micros();
        let changed = self.field(number, id)?;
        if changed.hidden_since.is_some() == is_hidden {
            return Ok(());
        }
        changed.hidden_since = is_hidden.then_some(now);
        let verb = if is_hidden { "hide" } else { "unhide" };
        self.note(format!("metric {metric}: {verb} field {field}"))
    }

    pub(super) fn undeclare_field(&mut self, metric: &str, field: &str) -> Result<()> {
        let (number, id) = self.field_number(metric, field)?;
        self.field(number, id)?.check_keeps_hidden(field)?;
        self.document(number).fields.remove(&id);
        self.note(format!("metric {metric}: undeclare field {field}; its values become undeclared text"))
    }

    pub(super) fn delete_field(&mut self, metric: &str, field: &str, through: &Cover) -> Result<()> {
        let number = self.metric_number(metric)?;
        name::check_field(field)?;
        let names = match self.holder_of_field_name(number, field) {
            Some(id) => self.document(number).fields.remove(&id).map_or_else(Vec::new, |field| field.names),
            None => vec![field.into()],
        };
        let deletions = &mut self.document(number).deletions;
        for stored in &names {
            deletions.entry(stored.to_string()).or_default().0.merge(through);
        }
        if deletions.len() > NAMES_MAX {
            return Err(too_many("deleted names of a metric", NAMES_MAX));
        }
        self.note(format!("metric {metric}: delete field {field}; its values so far are unreadable for ever"))
    }

    pub(super) fn rule_field(&mut self, metric: &str, field: &str, is_out: bool) -> Result<()> {
        let number = self.metric_number(metric)?;
        name::check_field(field)?;
        if let Some(holder) = self.holder_of_field_name(number, field) {
            let display = self.field(number, holder)?.names[0].clone();
            return Err(Error::invalid("only an undeclared field can be ruled out; this one is declared")
                .with("name", field)
                .with("field", display));
        }
        let known = self.state.metrics.get(&number);
        let at = known.and_then(|document| document.ruled_out.iter().position(|name| **name == *field));
        match (at, is_out) {
            (None, true) => {
                let ruled_out = &mut self.document(number).ruled_out;
                if ruled_out.len() >= FIELDS_MAX {
                    return Err(too_many("ruled out fields of a metric", FIELDS_MAX));
                }
                ruled_out.push(field.into());
                self.note(format!("metric {metric}: rule field {field} out: events that bear it are errors"))
            }
            (Some(at), false) => {
                self.document(number).ruled_out.remove(at);
                self.note(format!("metric {metric}: rule field {field} in"))
            }
            (Some(_), true) => Ok(()),
            (None, false) => Err(Error::not_found("the field is not ruled out").with("field", field)),
        }
    }
}
