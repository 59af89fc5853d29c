//! Steps about units and conversions.

use fineo_core::{Error, Result, Timestamp};

use super::{Edit, too_many};
use crate::{FieldType, StatedConversion, Unit, document::ConversionDocument, name};

/// The most conversions of a field.
pub(super) const CONVERSIONS_MAX: usize = 1000;

impl Edit {
    pub(super) fn set_unit(&mut self, metric: &str, field: &str, unit: Option<&str>) -> Result<()> {
        let (number, id) = self.field_number(metric, field)?;
        let unit = unit.map(Unit::new).transpose()?;
        let changed = self.field(number, id)?;
        let field_type: FieldType = changed.field_type.parse()?;
        if unit.is_some() && !field_type.is_number() {
            return Err(Error::invalid("only numbers have units").with("field", field).with("type", field_type));
        }
        for stated in changed.conversions.iter().filter_map(|stated| stated.unit.as_deref()) {
            match &unit {
                Some(unit) => {
                    Unit::new(stated)?.convert(unit)?;
                }
                None => {
                    return Err(Error::invalid("values are stated in another unit; take the conversions back first")
                        .with("field", field));
                }
            }
        }
        changed.unit = unit.map(|unit| unit.to_string());
        let shown = changed.unit.clone().unwrap_or_else(|| "none".to_owned());
        self.note(format!("metric {metric}: field {field}: unit {shown}"))
    }

    pub(super) fn add_conversion(&mut self, metric: &str, field: &str, stated: &StatedConversion) -> Result<()> {
        let (number, id) = self.field_number(metric, field)?;
        let changed = self.field(number, id)?;
        let field_type: FieldType = changed.field_type.parse()?;
        if !field_type.is_number() {
            return Err(Error::invalid("only numbers are converted").with("field", field).with("type", field_type));
        }
        if let Some(unit) = &stated.unit {
            let to = changed.unit.as_deref().ok_or_else(|| {
                Error::invalid("the field has no unit to convert to; set its unit first").with("field", field)
            })?;
            Unit::new(unit)?.convert(&Unit::new(to)?)?;
        }
        if !stated.scale.is_finite() || !stated.offset.is_finite() || stated.scale == 0.0 {
            return Err(Error::invalid("a conversion has a finite scale, not zero, and a finite offset"));
        }
        if let Some(name) = &stated.name
            && !changed.names.contains(name)
        {
            return Err(Error::not_found("the field has no such name").with("name", name).with("field", field));
        }
        if let Some(sent) = &stated.metric_name {
            name::check_metric(sent)?;
        }
        if let (Some(from), Some(to)) = (stated.from, stated.to)
            && to <= from
        {
            return Err(Error::invalid("the range of time is empty").with("from", from).with("to", to));
        }
        if changed.conversions.len() >= CONVERSIONS_MAX {
            return Err(too_many("conversions of a field", CONVERSIONS_MAX));
        }
        let document = ConversionDocument {
            name: stated.name.clone(),
            unit: stated.unit.clone(),
            scale: stated.scale,
            offset: stated.offset,
            metric_name: stated.metric_name.clone(),
            from: stated.from.map(Timestamp::micros),
            to: stated.to.map(Timestamp::micros),
        };
        changed.conversions.insert(0, document);
        let how = match &stated.unit {
            Some(unit) => format!("are in {unit}"),
            None => format!("are converted by * {} + {}", stated.scale, stated.offset),
        };
        self.note(format!("metric {metric}: field {field}: values in scope {how}"))
    }

    pub(super) fn remove_conversions(&mut self, metric: &str, field: &str) -> Result<()> {
        let (number, id) = self.field_number(metric, field)?;
        let changed = self.field(number, id)?;
        if changed.conversions.is_empty() {
            return Ok(());
        }
        changed.conversions.clear();
        self.note(format!("metric {metric}: field {field}: take every conversion back"))
    }
}
