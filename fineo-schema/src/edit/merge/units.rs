//! Units and conversions of two fields that a merge makes one: the values of each side stay what they were.

use std::collections::BTreeSet;

use fineo_core::{Error, Result};

use crate::{
    FieldType, Unit,
    document::{ConversionDocument, FieldDocument, Name, State},
    edit::{conversion::CONVERSIONS_MAX, too_many},
    snapshot::root_of,
};

/// The two metrics of a merge, by the names that their rows bear.
#[derive(Debug)]
pub(super) struct Sides {
    pub(super) from: String,
    pub(super) into: String,
    source: BTreeSet<Name>,
    target: BTreeSet<Name>,
}

impl Sides {
    /// Before the merge. Where the source has no fields nobody asks for the names.
    pub(super) fn of(state: &State, source: u64, target: u64, has_fields: bool) -> Self {
        let display =
            |number| state.tenant.metrics.get(&number).map_or_else(String::new, |entry| entry.names[0].to_string());
        let of = |root: u64| {
            let is_of = |number: u64| has_fields && root_of(state, number) == root;
            let entries = state.tenant.metrics.iter().filter(|(number, _)| is_of(**number));
            entries.flat_map(|(_, entry)| entry.names.iter().chain(&entry.former_names)).cloned().collect()
        };
        Self { from: display(source), into: display(target), source: of(source), target: of(target) }
    }

    /// What is to be asked first of the conversions of `held`, so that values of `field`, which it takes over, stay what they
    /// were; and what cannot be kept.
    pub(super) fn join(
        &self,
        held: &FieldDocument,
        field: &FieldDocument,
    ) -> Result<(Vec<ConversionDocument>, Option<String>)> {
        if held.unit == field.unit && held.conversions == field.conversions {
            return Ok((Vec::new(), None));
        }
        let (name, into) = (&field.names[0], &self.into);
        let is_number = held.field_type.parse::<FieldType>()?.is_number();
        let lost = match (&field.unit, &held.unit) {
            _ if !is_number => Some(format!("unit and conversions of {name} are not kept: it is no number in {into}")),
            (Some(unit), None) => Some(format!("the unit {unit} of {name} is not kept: it has none in {into}")),
            (None, Some(unit)) => Some(format!("values of {name} have no unit and count as {unit}")),
            (Some(_), Some(_)) | (None, None) => None,
        };
        if !is_number {
            return Ok((Vec::new(), lost));
        }
        let step = self.step(held, field)?;
        let mut own: Vec<ConversionDocument> = Vec::with_capacity(field.conversions.len() + 1);
        for stated in &field.conversions {
            own.push(through(stated, field, held, step)?);
        }
        let reaches =
            |stated: &ConversionDocument| stated.metric_name.as_ref().is_none_or(|sent| self.source.contains(sent));
        if step != (1.0, 0.0) || held.conversions.iter().any(reaches) {
            let (scale, offset) = (1.0, 0.0);
            let unit = field.unit.clone().filter(|_| step != (1.0, 0.0));
            let rest = ConversionDocument { name: None, unit, scale, offset, metric_name: None, from: None, to: None };
            own.push(rest);
        }
        Ok((self.scoped(field, own, held.conversions.len())?, lost))
    }

    /// The conversions of a field that the other metric has not: they hold for rows of its own.
    pub(super) fn bring(&self, field: &FieldDocument) -> Result<Vec<ConversionDocument>> {
        self.scoped(field, field.conversions.clone(), 0)
    }

    /// What turns a value of `field` in its unit into one in that of `held`.
    fn step(&self, held: &FieldDocument, field: &FieldDocument) -> Result<(f64, f64)> {
        let (Some(from), Some(to)) = (&field.unit, &held.unit) else { return Ok((1.0, 0.0)) };
        Unit::new(from)?.convert(&Unit::new(to)?).map_err(|source| {
            let message = "the metrics have a field in units that cannot be converted into each other; set the unit of one of \
                           them first";
            let error = Error::invalid(message).with("field", &field.names[0]).with("into_field", &held.names[0]);
            error.with("from", from).with("to", to).with_source(source)
        })
    }

    /// `conversions` for rows of the source alone.
    fn scoped(
        &self,
        field: &FieldDocument,
        conversions: Vec<ConversionDocument>,
        held: usize,
    ) -> Result<Vec<ConversionDocument>> {
        if conversions.is_empty() {
            return Ok(conversions);
        }
        if let Some(shared) = self.source.intersection(&self.target).next() {
            let message = "events of both metrics came under one name, so a conversion cannot tell their values apart; make the \
                           units and conversions of the field alike first";
            let error = Error::invalid(message).with("field", &field.names[0]).with("name", shared);
            return Err(error.with("from", &self.from).with("into", &self.into));
        }
        let mut scoped = Vec::new();
        for sent in &self.source {
            let of_name = |stated: &&ConversionDocument| stated.metric_name.as_ref().is_none_or(|name| name == sent);
            for stated in conversions.iter().filter(of_name) {
                scoped.push(ConversionDocument { metric_name: Some(Name::clone(sent)), ..stated.clone() });
            }
            if held + scoped.len() > CONVERSIONS_MAX {
                return Err(too_many("conversions of a field", CONVERSIONS_MAX).with("field", &field.names[0]));
            }
        }
        Ok(scoped)
    }
}

/// A conversion of `field` as one of `held`, whose unit is `step` away.
fn through(
    stated: &ConversionDocument,
    field: &FieldDocument,
    held: &FieldDocument,
    step: (f64, f64),
) -> Result<ConversionDocument> {
    let (unit, (scale, offset)) = match (&stated.unit, &field.unit, &held.unit) {
        // It is worked out anew whenever the field's unit changes.
        (Some(unit), _, Some(_)) => (Some(unit.clone()), (stated.scale, stated.offset)),
        (Some(from), Some(to), None) => (None, Unit::new(from)?.convert(&Unit::new(to)?)?),
        (Some(_) | None, _, _) => (None, (stated.scale * step.0, stated.offset * step.0 + step.1)),
    };
    Ok(ConversionDocument { unit, scale, offset, ..stated.clone() })
}
