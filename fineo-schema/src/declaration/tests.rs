//! Declarative files: reading, planning, exporting.

use std::sync::Arc;

use fineo_core::{ErrorKind, MetricId, TenantId, Timestamp, repo::Version};

use super::{Declaration, fields_of_example};
use crate::{Change, FieldType, Metric, SeenNames, TenantSchema, edit::Edit};

const PUMP: &str = r#"{
  "tenant": "acme", "metric_keys": ["kind"], "timestamp_formats": [], "unknown_metric": "discover",
  "missing_timestamp": "arrival", "identity": "content",
  "metrics": {
    "pump": {
      "aliases": ["pmp"], "identity": "key", "timestamp": { "aliases": ["at"], "formats": ["epoch_s"] },
      "fields": {
        "pressure": { "type": "double", "aliases": ["press", "psi"], "unit": "bar",
                      "conversions": [{ "unit": "psi", "name": "psi" }, { "scale": 2, "from": "2016-01-01T00:00:00Z" }] },
        "area": { "type": "decimal(10,2)", "hidden": true }
      },
      "ruled_out": ["bad"]
    }
  }
}"#;

fn nothing_seen(_: &Metric) -> Arc<SeenNames> {
    Arc::default()
}

fn with(schema: &TenantSchema, changes: &[Change]) -> TenantSchema {
    let mut edit = Edit::new(schema.state().clone(), Timestamp::default());
    for change in changes {
        edit.apply(change).unwrap();
    }
    let version = schema.version().next();
    TenantSchema::of_state(schema.tenant(), version, Timestamp::default(), edit.state, Some(schema)).unwrap()
}

fn acme() -> TenantSchema {
    TenantSchema::empty(&TenantId::new("acme").unwrap())
}

#[test]
fn a_file_that_was_applied_plans_nothing_and_so_does_an_export() {
    let declaration = Declaration::parse(PUMP).unwrap();
    let plan = declaration.plan(&acme(), &nothing_seen).unwrap();
    assert_eq!(plan.base, Version::NONE);
    assert!(plan.to_string().contains("declare field pressure as double (f1)"), "{plan}");
    let schema = with(&acme(), &plan.changes);
    let again = declaration.plan(&schema, &nothing_seen).unwrap();
    assert!(again.is_empty(), "{again:?}");

    let exported = Declaration::export(&schema);
    for text in [exported.to_json().unwrap(), exported.to_yaml().unwrap()] {
        let read = Declaration::parse(&text).unwrap();
        assert_eq!(read, exported);
        assert!(read.plan(&schema, &nothing_seen).unwrap().is_empty(), "{text}");
        let copied = with(&acme(), &read.plan(&acme(), &nothing_seen).unwrap().changes);
        assert_eq!(Declaration::export(&copied), exported);
    }
}

#[test]
fn what_a_file_does_not_mention_stays() {
    let schema = with(&acme(), &Declaration::parse(PUMP).unwrap().plan(&acme(), &nothing_seen).unwrap().changes);
    let partial = "metrics:\n  pump:\n    fields:\n      pressure: {type: float, aliases: [p]}\n";
    let plan = Declaration::parse(partial).unwrap().plan(&schema, &nothing_seen).unwrap();
    assert_eq!(plan.changes.len(), 2, "{plan}");
    let schema = with(&schema, &plan.changes);
    let metric = schema.metric_named("pmp").unwrap();
    assert_eq!(metric.fields().len(), 2);
    assert_eq!(metric.field_named("p").unwrap().field_type, FieldType::Float);

    // Nor is a type that is not mentioned changed.
    let alias = Declaration::parse(r#"{"metrics":{"pump":{"fields":{"pressure":{"aliases":["druck"]}}}}}"#).unwrap();
    let plan = alias.plan(&schema, &nothing_seen).unwrap();
    assert_eq!(plan.lines, ["metric pump: field pressure: add alias druck"]);
}

#[test]
fn the_plan_shows_merges_and_take_overs() {
    let discovered = Change::DiscoverMetrics { names: vec!["pmp".into(), "pump".into()] };
    let schema = with(&acme(), &[discovered]);
    let seen = |metric: &Metric| {
        let is_pump = metric.id() == &MetricId::numbered(2);
        Arc::new(SeenNames::of_names(if is_pump { vec!["psi"] } else { vec![] }))
    };
    let plan = Declaration::parse(PUMP).unwrap().plan(&schema, &seen).unwrap();
    let text = plan.to_string();
    for expected in [
        "declare metric pump (n2), which events brought in",
        "merge metric pmp (n1) into pump",
        "field pressure takes over 1 values sent as psi",
    ] {
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn an_alias_that_a_declared_metric_holds_is_refused_naming_it() {
    let fan = Change::CreateMetric { name: "fan".into(), aliases: vec!["pmp".into()] };
    let error = Declaration::parse(PUMP).unwrap().plan(&with(&acme(), &[fan]), &nothing_seen).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert!(error.to_string().contains("fan"), "{error}");
}

#[test]
fn a_wrong_file_is_refused_naming_the_key_and_the_legal_ones() {
    for (text, expected) in [
        ("{\"metrix\": {}}", "metrics"),
        ("metrics:\n  pump:\n    fields:\n      t: {kind: int}\n", "`type`"),
        ("metrics:\n  pump:\n    colour: red\n", "colour"),
        ("metrics:\n  pump:\n    fields:\n      t: double\n", "a map such as {type: double}"),
        ("metrics:\n  pump: thermostat\n", "a map such as {fields: {temp: {type: double}}}"),
        ("metrics: {a: {}, a: {}}", "a"),
        ("unknown_metric: maybe", "discover"),
        ("", "empty"),
        ("[1, 2", "schema file"),
    ] {
        let error = Declaration::parse(text).unwrap_err();
        assert!(error.to_string().contains(expected), "{text}: {error}");
    }
    // S09
    for field_type in ["decimal(76,80)", "decimal(10,-1)", "array", "string(10)"] {
        let text = format!("metrics: {{pump: {{fields: {{t: {{type: \"{field_type}\"}}}}}}}}");
        Declaration::parse(&text).unwrap().plan(&acme(), &nothing_seen).unwrap_err();
    }
    let untyped = Declaration::parse("metrics: {pump: {fields: {t: {}}}}").unwrap().plan(&acme(), &nothing_seen);
    assert!(untyped.unwrap_err().to_string().contains("needs a type: metric=pump, field=t"));
    let other = Declaration::parse("tenant: globex").unwrap().plan(&acme(), &nothing_seen).unwrap_err();
    assert!(other.to_string().contains("another tenant"), "{other}");
}

#[test]
fn an_example_event_gives_fields_and_types() {
    let text = r#"{"timestamp": 1, "kind": "pump", "t": 21.5, "n": 7, "on": true, "gps": {"lat": 1.0, "tags": []}, "x": null, "s": "a"}"#;
    let fields = fields_of_example(text, &["timestamp", "kind"]).unwrap();
    let expected = [
        ("t", FieldType::Double),
        ("n", FieldType::Long),
        ("on", FieldType::Boolean),
        ("gps.lat", FieldType::Double),
        ("gps.tags", FieldType::Json),
        ("s", FieldType::String),
    ];
    assert_eq!(fields, expected.map(|(name, field_type)| (name.to_owned(), field_type)));
    fields_of_example("[]", &[]).unwrap_err();
    fields_of_example(r#"{"a": {"b": 1}, "a.b": 2}"#, &[]).unwrap_err();
}

#[test]
fn what_was_said_of_undeclared_metrics_is_exported_and_holds_elsewhere() {
    let of = |name: &str| Some(name.to_owned());
    let schema = with(
        &acme(),
        &[
            Change::DiscoverMetrics { names: vec!["a".into(), "b".into(), "c".into()] },
            Change::MergeMetric { from: "b".into(), into: "a".into() },
            Change::RuleOutField { metric: "a".into(), field: "bad".into() },
            Change::SetIdentity { metric: of("a"), identity: Some(crate::Identity::Arrival) },
            Change::RuleOutMetric { metric: "junk".into() },
        ],
    );
    let exported = Declaration::export(&schema);
    assert!(exported.plan(&schema, &nothing_seen).unwrap().is_empty(), "{exported}");
    let other = Declaration { tenant: None, ..exported.clone() };
    let elsewhere = with(&acme(), &other.plan(&acme(), &nothing_seen).unwrap().changes);
    let metric = elsewhere.metric_named("b").unwrap();
    assert_eq!((&**metric.name(), metric.identity()), ("a", Some(crate::Identity::Arrival)));
    assert!(metric.is_field_ruled_out("bad") && elsewhere.metric_named("junk").unwrap().is_ruled_out());
    assert!(elsewhere.metric_named("c").is_none(), "nothing was said of it");
    assert!(other.plan(&elsewhere, &nothing_seen).unwrap().is_empty());
}

#[test]
fn aliases_are_ranked_as_a_file_lists_them() {
    let schema = with(&acme(), &Declaration::parse(PUMP).unwrap().plan(&acme(), &nothing_seen).unwrap().changes);
    let ranked = |file: &str| {
        let text = format!(r#"{{"metrics":{{"pump":{{"fields":{{"pressure":{{"aliases":{file}}}}}}}}}}}"#);
        let plan = Declaration::parse(&text).unwrap().plan(&schema, &nothing_seen).unwrap();
        with(&schema, &plan.changes).metric_named("pump").unwrap().field_named("pressure").unwrap().names.join(" ")
    };
    for (file, names) in [
        (r#"["press", "psi"]"#, "pressure press psi"),
        (r#"["psi", "press"]"#, "pressure psi press"),
        (r#"["psi"]"#, "pressure press psi"),
        (r#"["psi", "new", "press"]"#, "pressure psi new press"),
        (r#"["new", "pressure", "psi", "press"]"#, "pressure new psi press"),
    ] {
        assert_eq!(ranked(file), names, "{file}");
    }
}
