//! A metric under one version of the schema.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use fineo_core::{Cover, MetricId, Result, Timestamp};

use crate::{
    Conversion, Field, FieldId, Identity, MissingTimestamp, RecordLayout, RetainDays, ScopedConversion, Settings,
    TenantSchema, TimeFormat, TimeParser, Unit,
    document::{ConversionDocument, FieldDocument, MetricDocument, MetricEntry},
    snapshot::identity_in,
};

/// Where a stored name stands in a record: which declared field it is, and how it ranks among its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// The index of the field in [`Metric::fields`].
    pub field: u32,
    /// The rank of the name among the field's names; 0 is the best.
    pub rank: u32,
}

/// A kind of thing that sends events: a table in SQL.
#[derive(Debug)]
pub struct Metric {
    id: MetricId,
    entry: MetricEntry,
    document: Arc<MetricDocument>,
    row_metrics: Vec<MetricId>,
    fields: Vec<Arc<Field>>,
    slots: HashMap<Arc<str>, Slot>,
    ruled_out: HashSet<Arc<str>>,
    timestamp_formats: Vec<TimeFormat>,
    timestamp_aliases: Vec<Arc<str>>,
    time_parser: TimeParser,
    missing_timestamp: MissingTimestamp,
    layout: Arc<RecordLayout>,
    is_closed: bool,
}

impl Metric {
    pub(crate) fn of_documents(
        id: MetricId,
        entry: &MetricEntry,
        document: Arc<MetricDocument>,
        row_metrics: Vec<MetricId>,
        settings: &Settings,
    ) -> Result<Self> {
        let fields: Result<Vec<_>> = document.fields.iter().map(|(id, field)| prepare_field(*id, field)).collect();
        let fields = fields?;
        let mut slots = HashMap::new();
        for (index, field) in (0_u32..).zip(&fields) {
            for (rank, name) in (0_u32..).zip(&field.names) {
                slots.insert(Arc::clone(name), Slot { field: index, rank });
            }
        }
        let formats: Result<Vec<_>> = document.timestamp_formats.iter().map(|text| TimeFormat::parse(text)).collect();
        let formats = formats?;
        let aliases = document.timestamp_aliases.iter().chain(&settings.timestamp_aliases);
        Ok(Self {
            layout: Arc::new(RecordLayout::named(
                &id,
                fields.iter().map(|field| (field.id, field.field_type, field.names.clone())),
            )),
            id,
            entry: entry.clone(),
            row_metrics,
            slots,
            ruled_out: document.ruled_out.iter().cloned().collect(),
            time_parser: TimeParser::new(formats.iter().chain(&settings.timestamp_formats)),
            timestamp_formats: formats,
            timestamp_aliases: aliases.cloned().collect(),
            missing_timestamp: document.missing_timestamp.unwrap_or(settings.missing_timestamp),
            fields,
            document,
            is_closed: false,
        })
    }

    /// The same without undeclared names, whatever events bore.
    pub(crate) fn closed(self) -> Self {
        Self { is_closed: true, ..self }
    }

    /// Whether only declared fields can be read, because it is seen in a role that may read no others.
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Whether it was made of the same documents; the settings are the caller's to compare.
    pub(crate) fn is_of(&self, entry: &MetricEntry, document: &Arc<MetricDocument>, row_metrics: &[MetricId]) -> bool {
        self.entry == *entry && self.row_metrics == row_metrics && *self.document == **document
    }

    /// Its canonical id.
    pub fn id(&self) -> &MetricId {
        &self.id
    }

    /// Its display name.
    pub fn name(&self) -> &Arc<str> {
        &self.entry.names[0]
    }

    /// Its names: the display name, then the aliases in the order they were added.
    pub fn names(&self) -> &[Arc<str>] {
        &self.entry.names
    }

    /// Whether somebody declared it; else events brought it in.
    pub fn is_declared(&self) -> bool {
        self.entry.is_declared
    }

    /// Whether its events are malformed and its rows answer as errors.
    pub fn is_ruled_out(&self) -> bool {
        self.entry.is_ruled_out
    }

    /// The ids whose stored rows answer here: its own, then those merged into it.
    pub fn row_metrics(&self) -> &[MetricId] {
        &self.row_metrics
    }

    /// What makes events that arrived at `arrival` the same.
    pub fn identity_at(&self, tenant: &TenantSchema, arrival: Timestamp) -> Identity {
        identity_in(&self.document.identity, arrival).unwrap_or_else(|| tenant.settings().identity_at(arrival))
    }

    /// What makes events the same that arrive from now on, where it differs from the tenant's.
    pub fn identity(&self) -> Option<Identity> {
        self.document.identity.last().and_then(|entry| entry.identity)
    }

    /// The keys that may bear an event's time, in order: its own, then the tenant's; `timestamp` after them.
    pub fn timestamp_aliases(&self) -> &[Arc<str>] {
        &self.timestamp_aliases
    }

    /// The keys of its own that may bear an event's time.
    pub fn own_timestamp_aliases(&self) -> &[Arc<str>] {
        &self.document.timestamp_aliases
    }

    /// Its own time formats.
    pub fn own_timestamp_formats(&self) -> &[TimeFormat] {
        &self.timestamp_formats
    }

    /// Reads times by its formats, then the tenant's, then the built-in ones.
    pub fn time_parser(&self) -> &TimeParser {
        &self.time_parser
    }

    /// What becomes of its events without a time.
    pub fn missing_timestamp(&self) -> MissingTimestamp {
        self.missing_timestamp
    }

    /// What it says itself about events without a time.
    pub fn own_missing_timestamp(&self) -> Option<MissingTimestamp> {
        self.document.missing_timestamp
    }

    /// The declared fields in order of declaration, hidden ones too.
    pub fn fields(&self) -> &[Arc<Field>] {
        &self.fields
    }

    /// The declared field with this canonical id.
    pub fn field(&self, id: FieldId) -> Option<&Arc<Field>> {
        self.fields.iter().find(|field| field.id == id)
    }

    /// The declared field, hidden or not, that has exactly this name or alias.
    pub fn field_named(&self, stored_name: &str) -> Option<&Arc<Field>> {
        self.slot(stored_name).and_then(|slot| self.fields.get(slot.field as usize))
    }

    /// The declared field and rank of a stored name; none for an undeclared field.
    pub fn slot(&self, stored_name: &str) -> Option<Slot> {
        self.slots.get(stored_name).copied()
    }

    /// Whether an event that bears this undeclared field is malformed.
    pub fn is_field_ruled_out(&self, stored_name: &str) -> bool {
        self.ruled_out.contains(stored_name)
    }

    /// The undeclared fields that make an event malformed.
    pub fn ruled_out_fields(&self) -> impl Iterator<Item = &Arc<str>> {
        self.document.ruled_out.iter()
    }

    /// The positions up to which values stored under this name are unreadable for ever.
    pub fn unreadable_through(&self, stored_name: &str) -> Option<&Cover> {
        self.document.deletions.get(stored_name).map(|positions| &positions.0)
    }

    /// Every name with the positions up to which its values are unreadable, to be collected.
    pub fn deletions(&self) -> impl Iterator<Item = (&str, &Cover)> {
        self.document.deletions.iter().map(|(name, positions)| (name.as_str(), &positions.0))
    }

    /// For how long it says itself that its rows are kept.
    pub fn own_retain_days(&self) -> Option<RetainDays> {
        self.document.retain_days
    }

    /// For how long its rows are kept.
    pub fn retain_days(&self, tenant: &TenantSchema) -> RetainDays {
        self.document.retain_days.unwrap_or(tenant.settings().retain_days)
    }

    /// How its staged records are written under this version.
    pub fn layout(&self) -> &Arc<RecordLayout> {
        &self.layout
    }
}

fn prepare_field(id: u32, document: &FieldDocument) -> Result<Arc<Field>> {
    let unit = document.unit.as_deref().map(Unit::new).transpose()?;
    let conversions: Result<Vec<_>> =
        document.conversions.iter().map(|stated| prepare_conversion(stated, unit.as_ref())).collect();
    Ok(Arc::new(Field {
        id: FieldId(id),
        names: document.names.clone(),
        field_type: document.field_type.parse()?,
        unit,
        conversions: conversions?,
        hidden_since: document.hidden_since.map(Timestamp::saturating_from_micros),
    }))
}

fn prepare_conversion(stated: &ConversionDocument, to: Option<&Unit>) -> Result<ScopedConversion> {
    let from_unit = stated.unit.as_deref().map(Unit::new).transpose()?;
    let (scale, offset) = match (&from_unit, to) {
        (Some(from), Some(to)) => from.convert(to)?,
        (Some(_) | None, _) => (stated.scale, stated.offset),
    };
    let conversion = Conversion {
        scale,
        offset,
        metric_name: stated.metric_name.clone(),
        from: stated.from.map(Timestamp::saturating_from_micros),
        to: stated.to.map(Timestamp::saturating_from_micros),
    };
    Ok(ScopedConversion { name: stated.name.clone(), from_unit, conversion })
}
