//! Words become the changes that they say.

use clap::Parser;

use super::{of_field, of_settings};
use crate::args::{Arguments, SchemaVerb, Verb};

fn verb(line: &str) -> SchemaVerb {
    let words = ["fineo", "schema", "--tenant", "t"].into_iter().chain(line.split(' '));
    match Arguments::try_parse_from(words).unwrap().verb {
        Verb::Schema(args) => args.verb,
        other => panic!("{other:?}"),
    }
}

fn check(line: &str, expected: serde_json::Value) {
    let changes = match verb(line) {
        SchemaVerb::Field { verb } => of_field(&verb),
        SchemaVerb::Set(args) => of_settings(&args),
        other => panic!("{other:?}"),
    };
    assert_eq!(serde_json::to_value(changes).unwrap(), expected, "{line}");
}

#[test]
fn a_unit_without_a_scope_is_the_fields_own_and_with_one_that_of_the_values() {
    check("field unit m f --unit C", serde_json::json!([{"op": "set_unit", "metric": "m", "field": "f", "unit": "C"}]));
    let stated = serde_json::json!({
        "unit": "F", "scale": 1.0, "offset": 0.0, "name": "tempF", "metric_name": null, "from": null, "to": null
    });
    check(
        "field unit m f --unit F --alias tempF",
        serde_json::json!([{"op": "add_conversion", "metric": "m", "field": "f", "conversion": stated}]),
    );
}

#[test]
fn a_negative_offset_is_a_number() {
    let stated = serde_json::json!({
        "unit": null, "scale": 1.0, "offset": -32.0, "name": null, "metric_name": "probe", "from": 0, "to": null
    });
    check(
        "field unit m f --offset -32 --source probe --from 1970-01-01",
        serde_json::json!([{"op": "add_conversion", "metric": "m", "field": "f", "conversion": stated}]),
    );
}

#[test]
fn settings_are_set_together_and_an_empty_word_empties_a_list() {
    check(
        "set --metric-keys type,kind --timestamp-aliases= --identity key",
        serde_json::json!([
            {"op": "set_metric_keys", "keys": ["type", "kind"]},
            {"op": "set_timestamp_aliases", "metric": null, "aliases": []},
            {"op": "set_identity", "metric": null, "identity": "key"},
        ]),
    );
}
