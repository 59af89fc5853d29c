//! A schema as a file that, applied to it, changes nothing.

use fineo_core::Timestamp;

use super::{ConversionDeclaration, Declaration, FieldDeclaration, MetricDeclaration, Ordered, TimestampDeclaration};
use crate::{Field, Metric, MissingTimestamp, ScopedConversion, StatedConversion, TenantSchema, UnknownMetric};

impl Declaration {
    /// Everything that is declared, the settings that differ from the defaults, and whatever else was said of metrics.
    pub fn export(schema: &TenantSchema) -> Self {
        let settings = &schema.state().tenant.settings;
        let texts = |names: &[std::sync::Arc<str>]| {
            (!names.is_empty()).then(|| names.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        let metrics = schema.metrics().filter(|metric| !metric.is_ruled_out()).filter_map(|metric| {
            let exported = export_metric(metric);
            let is_mentioned = metric.is_declared() || exported != MetricDeclaration::default();
            let declared = (!metric.is_declared()).then_some(false);
            is_mentioned.then(|| (metric.name().to_string(), MetricDeclaration { declared, ..exported }))
        });
        let ruled_out = schema.metrics().filter(|metric| metric.is_ruled_out());
        Self {
            tenant: Some(schema.tenant().to_string()),
            metric_keys: texts(&settings.metric_keys),
            timestamp_aliases: texts(&settings.timestamp_aliases),
            timestamp_formats: Some(settings.timestamp_formats.clone()).filter(|formats| !formats.is_empty()),
            unknown_metric: Some(settings.unknown_metric).filter(|policy| *policy != UnknownMetric::default()),
            missing_timestamp: Some(settings.missing_timestamp).filter(|policy| *policy != MissingTimestamp::default()),
            identity: settings.identity.last().and_then(|entry| entry.identity),
            retain_days: settings.retain_days,
            ruled_out: ruled_out.map(|metric| metric.name().to_string()).collect(),
            metrics: Ordered(metrics.collect()),
        }
    }
}

fn export_metric(metric: &Metric) -> MetricDeclaration {
    let aliases = metric.own_timestamp_aliases();
    let formats = metric.own_timestamp_formats();
    let timestamp = TimestampDeclaration {
        aliases: (!aliases.is_empty()).then(|| aliases.iter().map(ToString::to_string).collect()),
        formats: (!formats.is_empty()).then(|| formats.iter().map(ToString::to_string).collect()),
    };
    MetricDeclaration {
        declared: None,
        aliases: metric.names()[1..].iter().map(ToString::to_string).collect(),
        identity: metric.identity(),
        missing_timestamp: metric.own_missing_timestamp(),
        retain_days: metric.own_retain_days(),
        timestamp: Some(timestamp).filter(|timestamp| *timestamp != TimestampDeclaration::default()),
        ruled_out: metric.ruled_out_fields().map(ToString::to_string).collect(),
        fields: Ordered(metric.fields().iter().map(|field| (field.name().to_string(), export_field(field))).collect()),
    }
}

fn export_field(field: &Field) -> FieldDeclaration {
    let conversions: Vec<_> = stated_conversions(field).iter().map(export_conversion).collect();
    FieldDeclaration {
        field_type: Some(field.field_type.to_string()),
        aliases: field.names[1..].iter().map(ToString::to_string).collect(),
        unit: field.unit.as_ref().map(ToString::to_string),
        hidden: field.is_hidden().then_some(true),
        conversions: (!conversions.is_empty()).then_some(conversions),
    }
}

/// The conversions of a field as they were stated, first the one that goes first.
pub(super) fn stated_conversions(field: &Field) -> Vec<StatedConversion> {
    let stated = |scoped: &ScopedConversion| {
        let conversion = &scoped.conversion;
        let is_unit = scoped.from_unit.is_some();
        StatedConversion {
            unit: scoped.from_unit.as_ref().map(ToString::to_string),
            scale: if is_unit { 1.0 } else { conversion.scale },
            offset: if is_unit { 0.0 } else { conversion.offset },
            name: scoped.name.clone(),
            metric_name: conversion.metric_name.clone(),
            from: conversion.from,
            to: conversion.to,
        }
    };
    field.conversions.iter().map(stated).collect()
}

fn export_conversion(stated: &StatedConversion) -> ConversionDeclaration {
    let is_unit = stated.unit.is_some();
    ConversionDeclaration {
        unit: stated.unit.clone(),
        scale: (!is_unit).then_some(stated.scale),
        offset: (!is_unit).then_some(stated.offset),
        name: stated.name.as_ref().map(ToString::to_string),
        metric_name: stated.metric_name.as_ref().map(ToString::to_string),
        from: stated.from.as_ref().map(Timestamp::to_string),
        to: stated.to.as_ref().map(Timestamp::to_string),
    }
}
