//! Proposals: what events brought in and how it could be declared, each with its evidence.

mod likeness;

use std::{borrow::Cow, fmt, sync::Arc};

use fineo_core::MetricId;

use crate::{Change, Discovery, Field, FieldType, Metric, NameStats, SeenNames, TenantSchema, TimesSeen};
use likeness::{is_like, overlap};

/// The share of tried values that must be of a type for it to be proposed.
const SHARE_MIN: f64 = 0.95;
/// The share of tried values that must be of a type for it to be told beside one that holds them all.
const SHARE_TOLD_MIN: f64 = 0.5;
/// The share of the smaller range that must lie in both.
const OVERLAP_MIN: f64 = 0.5;
/// The share of names that a metric must have in common with another to be proposed as one.
const COMMON_MIN: f64 = 0.8;
/// The share of rows whose times look like seconds from which on it is proposed to read them so.
const SECONDS_SHARE_MIN: f64 = 0.01;
/// A number that formats of seconds read, and an instant that it is only as seconds.
const SECONDS: (&str, i64) = ("1700000000", 1_700_000_000_000_000);
/// The most undeclared names of a metric that are looked at, in order of first sight.
const NAMES_MAX: usize = 2000;

/// What is proposed.
#[derive(Debug, Clone, PartialEq)]
pub enum SuggestionKind {
    /// To declare an undeclared field as a type.
    DeclareField {
        /// Its name as sent.
        name: Arc<str>,
        /// The type that its values fit.
        field_type: FieldType,
    },
    /// To read an undeclared field as another name of a field.
    MergeField {
        /// Its name as sent.
        name: Arc<str>,
        /// The other field, declared or not.
        into: Arc<str>,
    },
    /// To declare a metric that events brought in.
    NewMetric,
    /// To merge a metric that events brought in into another.
    MergeMetric {
        /// The other metric.
        into: Arc<str>,
    },
    /// To read times of a metric that are numbers as seconds, as far as they can be.
    ReadSeconds,
}

impl fmt::Display for SuggestionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DeclareField { name, field_type } => write!(f, "declare {name} as {field_type}"),
            Self::MergeField { name, into } => write!(f, "read {name} as an alias of {into}"),
            Self::NewMetric => f.write_str("declare the metric"),
            Self::MergeMetric { into } => write!(f, "merge the metric into {into}"),
            Self::ReadSeconds => f.write_str("read times that are numbers as seconds"),
        }
    }
}

/// A proposal with its evidence; applying it is one change.
#[derive(Debug, Clone, PartialEq)]
pub struct Suggestion {
    /// The same for the same proposal.
    pub id: String,
    /// The metric that it is about.
    pub metric: Arc<str>,
    /// What is proposed.
    pub kind: SuggestionKind,
    /// Why.
    pub evidence: Vec<String>,
    /// The steps that do it.
    pub changes: Vec<Change>,
}

impl fmt::Display for Suggestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: metric {}: {} ({})", self.id, self.metric, self.kind, self.evidence.join("; "))
    }
}

/// Every proposal for `metric`, or for all metrics of `schema`.
pub fn suggest(schema: &TenantSchema, discovery: &Discovery, metric: Option<&MetricId>) -> Vec<Suggestion> {
    let wanted = |candidate: &&Arc<Metric>| metric.is_none_or(|id| candidate.id() == id) && !candidate.is_ruled_out();
    let mut found = Vec::new();
    for metric in schema.metrics().filter(wanted) {
        let seen = discovery.seen(schema.tenant(), metric.row_metrics());
        if !metric.is_declared() {
            found.push(of_metric(schema, discovery, metric, &seen));
        }
        found.extend(read_seconds(metric, discovery.times(schema.tenant(), metric.row_metrics())));
        let is_apart = |left: &str, right: &str| {
            discovery.is_never_together(schema.tenant(), metric.row_metrics(), left, right) == Some(true)
        };
        let undeclared: Vec<Cow<'_, NameStats>> = metric
            .undeclared(&seen)
            .filter(|name| !crate::name::is_reserved(name) && &***name != "timestamp")
            .take(NAMES_MAX)
            .filter_map(|name| seen.told_of(metric, name))
            .collect();
        for (index, stats) in undeclared.iter().enumerate() {
            let field = best_field(metric, stats, &seen, &is_apart);
            let earlier = undeclared[..index].iter().find(|other| is_same_field(stats, other, &is_apart));
            found.push(match (field, earlier) {
                (Some(field), _) => merge_into_field(metric, stats, field),
                (None, Some(other)) => merge_into_undeclared(metric, stats, other),
                (None, None) => declare(metric, stats),
            });
        }
    }
    found
}

fn of_metric(schema: &TenantSchema, discovery: &Discovery, metric: &Metric, seen: &SeenNames) -> Suggestion {
    let (name, events) = (metric.name(), seen.stats().iter().map(|stats| stats.count).max().unwrap_or(0));
    let evidence = vec![format!("{} names seen, the most frequent {events} times", seen.len())];
    for other in schema.metrics().filter(|other| other.is_declared() && is_like(name, other.name())) {
        let others = discovery.seen(schema.tenant(), other.row_metrics());
        let common =
            seen.names().filter(|name| others.get(name).is_some() || other.field_named(name).is_some()).count();
        if share(common, seen.len()) >= COMMON_MIN && !seen.is_empty() {
            let mut evidence = evidence;
            evidence.push(format!("{common} of them are also names of {}", other.name()));
            let change = Change::MergeMetric { from: name.to_string(), into: other.name().to_string() };
            let kind = SuggestionKind::MergeMetric { into: Arc::clone(other.name()) };
            return suggestion(metric, kind, evidence, change);
        }
    }
    let change = Change::CreateMetric { name: name.to_string(), aliases: Vec::new() };
    suggestion(metric, SuggestionKind::NewMetric, evidence, change)
}

/// That times be read as seconds, where so many look like it and are not.
fn read_seconds(metric: &Metric, times: TimesSeen) -> Option<Suggestion> {
    let is_read = metric.time_parser().parse(SECONDS.0).is_some_and(|time| time.micros() == SECONDS.1);
    if is_read || times.early == 0 || share(times.early, times.rows) < SECONDS_SHARE_MIN {
        return None;
    }
    let evidence = vec![
        format!(
            "{} of {} rows are of the first weeks of 1970, where seconds lie that are read as milliseconds",
            times.early, times.rows
        ),
        "numbers too large for seconds stay milliseconds".to_owned(),
        "rows that are stored keep their time".to_owned(),
    ];
    let formats =
        std::iter::once("epoch_s".to_owned()).chain(metric.own_timestamp_formats().iter().map(ToString::to_string));
    let change = Change::SetTimestampFormats { metric: Some(metric.name().to_string()), formats: formats.collect() };
    Some(suggestion(metric, SuggestionKind::ReadSeconds, evidence, change))
}

fn share<N: TryInto<u32>>(part: N, whole: N) -> f64 {
    let number = |count: N| count.try_into().map_or(f64::from(u32::MAX), f64::from);
    number(part) / number(whole).max(1.0)
}

/// The declared field that an undeclared name seems to be another name of.
fn best_field<'a>(
    metric: &'a Metric,
    stats: &NameStats,
    seen: &SeenNames,
    is_apart: &dyn Fn(&str, &str) -> bool,
) -> Option<&'a Field> {
    let visible = metric.fields().iter().filter(|field| !field.is_hidden());
    let is_same = |field: &&Arc<Field>| {
        let mut known = field.names.iter().filter_map(|name| seen.told_of(metric, name)).peekable();
        known.peek().is_some()
            && field.names.iter().any(|name| is_like(name, &stats.name))
            && known.all(|other| is_apart(&other.name, &stats.name) && is_alike_in_values(stats, &other))
    };
    visible.filter(is_same).map(|field| &**field).next()
}

fn is_same_field(stats: &NameStats, other: &NameStats, is_apart: &dyn Fn(&str, &str) -> bool) -> bool {
    is_like(&stats.name, &other.name) && is_alike_in_values(stats, other) && is_apart(&stats.name, &other.name)
}

/// Whether both are of one type and, if numbers, in one range.
fn is_alike_in_values(left: &NameStats, right: &NameStats) -> bool {
    match (left.range, right.range) {
        (Some(left), Some(right)) => overlap(left, right) >= OVERLAP_MIN,
        (None, None) => best_type(left).0 == best_type(right).0,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// The narrowest type that nearly all tried values fit, and their share: never one that throws readings away which a wider one holds.
fn best_type(stats: &NameStats) -> (FieldType, f64) {
    /// Families of types, in each the narrower before the wider.
    const FAMILIES: [&[FieldType]; 3] = [
        &[FieldType::Boolean, FieldType::Long, FieldType::Double],
        &[FieldType::Date, FieldType::Timestamp],
        &[FieldType::Json],
    ];
    // An instant fits a date too, as its day.
    let is_day = stats.samples.iter().all(|sample| sample.len() <= 10);
    let share_of = |field_type| stats.shares().find(|(known, _)| *known == field_type).map_or(0.0, |(_, share)| share);
    for family in FAMILIES {
        let most = family.iter().map(|member| share_of(*member)).fold(0.0, f64::max);
        let is_fit = |candidate: &&FieldType| {
            (**candidate != FieldType::Date || is_day)
                && share_of(**candidate) >= most
                && !stats.samples.iter().any(|sample| loses(sample, **candidate))
        };
        if most >= SHARE_MIN
            && let Some(found) = family.iter().find(is_fit)
        {
            return (*found, most);
        }
    }
    (FieldType::String, 1.0)
}

/// The type that most of the values are which are proposed as text, if most are of one.
fn nearest_type(stats: &NameStats) -> Option<(FieldType, f64)> {
    let most = stats.shares().reduce(|most, next| if next.1 > most.1 { next } else { most });
    // What all of them are was not proposed for the digits that it would lose.
    most.filter(|(_, share)| (SHARE_TOLD_MIN..1.0).contains(share))
}

/// Whether `text`, read as a number, would be another text: `01000` as a whole number, or one of very many digits as a double.
fn loses(text: &str, candidate: FieldType) -> bool {
    let digits = text.trim_start_matches(['-', '+']);
    let is_whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    match candidate {
        FieldType::Long | FieldType::Date | FieldType::Timestamp => {
            is_whole && digits.len() > 1 && digits.starts_with('0')
        }
        FieldType::Double => is_whole && (digits.len() > f64::DIGITS as usize || loses(text, FieldType::Long)),
        _ => false,
    }
}

fn declare(metric: &Metric, stats: &NameStats) -> Suggestion {
    let (field_type, share) = best_type(stats);
    let kind = SuggestionKind::DeclareField { name: Arc::clone(&stats.name), field_type };
    let change = Change::AddField {
        metric: metric.name().to_string(),
        name: stats.name.to_string(),
        field_type: field_type.to_string(),
        aliases: Vec::new(),
        unit: None,
    };
    let mut evidence = vec![format!("{} values", stats.count)];
    evidence.push(match stats.tried {
        0 => "of which nothing more is told, for others under the name were deleted".to_owned(),
        tried if share < 1.0 => {
            let percent = (share * 100.0).floor();
            format!("{percent:.0} % of {tried} tried are {field_type}, as which the others would be null")
        }
        tried => format!("all of {tried} tried are {field_type}"),
    });
    if let Some((nearest, share)) = nearest_type(stats).filter(|_| field_type == FieldType::String) {
        evidence.push(format!("{:.0} % are {nearest}, as which the others would be null", (share * 100.0).floor()));
    }
    if !stats.samples.is_empty() {
        evidence.push(format!("for example {}", stats.samples.join(", ")));
    }
    suggestion(metric, kind, evidence, change)
}

fn merge_into_field(metric: &Metric, stats: &NameStats, field: &Field) -> Suggestion {
    let kind = SuggestionKind::MergeField { name: Arc::clone(&stats.name), into: Arc::clone(field.name()) };
    let change = Change::AddFieldAlias {
        metric: metric.name().to_string(),
        field: field.name().to_string(),
        alias: stats.name.to_string(),
    };
    let mut evidence = merge_evidence(stats, field.name());
    if let Some(unfit) = stats.unfit(field.field_type).filter(|unfit| *unfit > 0) {
        evidence.push(format!("{unfit} of {} tried are not {}, and would be null", stats.tried, field.field_type));
    }
    suggestion(metric, kind, evidence, change)
}

fn merge_into_undeclared(metric: &Metric, stats: &NameStats, other: &NameStats) -> Suggestion {
    let kind = SuggestionKind::MergeField { name: Arc::clone(&stats.name), into: Arc::clone(&other.name) };
    let change = Change::AddField {
        metric: metric.name().to_string(),
        name: other.name.to_string(),
        field_type: wider(best_type(stats).0, best_type(other).0).to_string(),
        aliases: vec![stats.name.to_string()],
        unit: None,
    };
    suggestion(metric, kind, merge_evidence(stats, &other.name), change)
}

fn wider(left: FieldType, right: FieldType) -> FieldType {
    if left == right {
        left
    } else if left.is_number() && right.is_number() {
        FieldType::Double
    } else {
        FieldType::String
    }
}

fn merge_evidence(stats: &NameStats, into: &str) -> Vec<String> {
    let mut evidence = vec![format!("the names are alike ({} values)", stats.count)];
    evidence.push(match stats.range {
        Some((least, greatest)) => format!("same range, here {least} to {greatest}"),
        None => format!("same type, for example {}", stats.samples.join(", ")),
    });
    evidence.push(format!("no event bore both {} and {into}", stats.name));
    evidence
}

fn suggestion(metric: &Metric, kind: SuggestionKind, evidence: Vec<String>, change: Change) -> Suggestion {
    let what = match &kind {
        SuggestionKind::DeclareField { name, .. } => format!("declare {name}"),
        SuggestionKind::MergeField { name, into } => format!("merge {name} into {into}"),
        SuggestionKind::NewMetric => "new".to_owned(),
        SuggestionKind::MergeMetric { into } => format!("merge into {into}"),
        SuggestionKind::ReadSeconds => "read seconds".to_owned(),
    };
    let hash = blake3::hash(format!("{} {what}", metric.id()).as_bytes());
    let id = format!("{}-{}", metric.id(), &hash.to_hex()[..8]);
    Suggestion { id, metric: Arc::clone(metric.name()), kind, evidence, changes: vec![change] }
}

#[cfg(test)]
mod tests;
