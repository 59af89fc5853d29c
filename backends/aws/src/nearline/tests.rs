//! What can be said without DynamoDB: names, keys, sizes, queries, verdicts.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::CancellationReason;
use fineo_core::{
    ContentHash, EventId, MetricId, Outcome, Position, ShardId, TenantId, TimeRange, Timestamp,
    nearline::{Predicate, RowHead, Rows, ScanRequest, Written},
};

use super::{
    cells::{self, attribute, row_item},
    key,
    parts::split,
    scan,
    write::verdict,
};
use crate::dynamo::{Item, Query, binary, item_bytes};

fn rows_of(cells: &[(&str, &str)]) -> Rows {
    let mut rows = Rows::new(ShardId::new("s0").unwrap());
    let head = RowHead {
        timestamp: Timestamp::default(),
        id: EventId([7; 16]),
        content: ContentHash::default(),
        position: Position::from(1),
        ingested_at: Timestamp::default(),
    };
    rows.row(head, "pump");
    cells.iter().for_each(|(name, text)| rows.cell(name, text));
    rows
}

#[test]
fn names_as_sent_are_attributes_unless_they_look_like_ours() {
    for (name, expected) in [
        ("温度", "温度"),
        ("a.b", "a.b"),
        ("", "_fineo="),
        ("_fineo_pk", "_fineo=_fineo_pk"),
        ("_fineo=x", "_fineo=_fineo=x"),
    ] {
        assert_eq!(attribute(name), expected);
    }
}

#[test]
fn rows_order_by_time_and_then_by_event() {
    let name = |micros: i64, id: u8| key::row_name(Timestamp::from_micros(micros).unwrap(), EventId([id; 16]));
    let ordered = [name(-5, 9), name(-1, 0), name(0, 0), name(0, 255), name(1, 0), name(9_999_999_999, 0)];
    assert!(ordered.is_sorted(), "{ordered:?}");
    for end in [Timestamp::MIN, Timestamp::MAX] {
        let parsed = key::parse_row_name(&key::row_name(end, EventId([1; 16]))).unwrap();
        assert_eq!(parsed, (end, EventId([1; 16])));
    }
}

#[test]
fn bounds_cut_before_every_row_of_their_instant() {
    let row = key::row_name(Timestamp::default(), EventId([0; 16]));
    assert!(key::row_bound(0) < row && row < key::row_bound(1));
    let last = key::row_name(Timestamp::MAX, EventId([255; 16]));
    assert!(last < key::row_bound(i64::MAX));
}

#[test]
fn a_row_that_fits_is_one_item() {
    let rows = rows_of(&[("a", "1"), ("b", "2")]);
    let row = rows.get(0).unwrap();
    let split = split(row_item(&rows, &row, "r".to_owned()), &row, || unreachable!("it fits"));
    assert!(split.parts.is_empty());
    assert_eq!(split.item["a"].as_n().unwrap(), "1");
}

#[test]
fn a_row_of_many_small_numbers_is_not_larger_than_it_was_taken_for() {
    let names: Vec<String> = (0..90_000).map(|number| format!("{number:x}")).collect();
    let cells: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
    let rows = rows_of(&cells);
    let row = rows.get(0).unwrap();
    let split = split(row_item(&rows, &row, "r".to_owned()), &row, || "p".to_owned());
    assert!(split.parts.iter().chain([&split.item]).all(|item| item_bytes(item) < 400_000));
}

#[test]
fn the_largest_cells_of_a_row_beyond_the_limit_go_into_parts() {
    let (large, larger) = ("x".repeat(200 << 10), "y".repeat(900 << 10));
    let rows = rows_of(&[("small", "1"), ("large", &large), ("larger", &larger)]);
    let row = rows.get(0).unwrap();
    let split = split(row_item(&rows, &row, "r".to_owned()), &row, || "p".to_owned());
    assert_eq!(split.parts.len(), 3);
    assert!(split.item.contains_key("small") && split.item.contains_key("large") && !split.item.contains_key("larger"));
    assert!(split.parts.iter().chain([&split.item]).all(|item| item_bytes(item) < 400_000));
}

fn request() -> ScanRequest {
    ScanRequest::new(TenantId::new("acme").unwrap(), MetricId::numbered(1)).with_time(TimeRange { from: 0, to: 5 })
}

fn assert_names_only_what_it_uses(query: &Query) {
    let expressions = [Some(&query.condition), query.filter.as_ref(), query.projection.as_ref()];
    let expressions: Vec<&str> = expressions.into_iter().flatten().map(String::as_str).collect();
    let is_placeholder = |character: char| character.is_ascii_alphanumeric() || "#:_".contains(character);
    let used: BTreeSet<&str> = expressions.iter().flat_map(|text| text.split(|one| !is_placeholder(one))).collect();
    let used: BTreeSet<&str> = used.into_iter().filter(|word| word.starts_with(['#', ':'])).collect();
    let named: BTreeSet<&str> = query.names.keys().chain(query.values.keys()).map(String::as_str).collect();
    assert_eq!(used, named);
    assert!(expressions.iter().all(|expression| expression.len() <= 4_096));
}

#[test]
fn a_query_names_only_what_it_uses() {
    let predicate =
        Predicate::AnyText { names: vec!["site".into()], texts: vec!["north".into(), "7".into(), "true".into()] };
    let asked = scan::query::of_rows(&request().with_names(["temp", "select"]).with_predicate(predicate), "r");
    assert!(asked.others.is_empty());
    assert_names_only_what_it_uses(&asked.first);
    assert!(["temp", "select", "site"].iter().all(|name| asked.first.names.values().any(|known| known == name)));
    // As texts, as they were stored before; and in their own types.
    let mut kinds: Vec<String> = asked
        .first
        .values
        .iter()
        .filter(|(name, _)| name.starts_with(":v"))
        .map(|(_, value)| format!("{value:?}"))
        .collect();
    kinds.sort();
    assert_eq!(kinds, ["Bool(true)", "N(\"7\")", "S(\"7\")", "S(\"north\")", "S(\"true\")"]);
}

fn named(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("field {number}")).collect()
}

#[test]
fn a_projection_too_long_for_dynamodb_is_split_over_queries_that_miss_no_name() {
    let asked = scan::query::of_rows(&request().with_names(named(2_500)), "r");
    assert_eq!(asked.others.len(), 2);
    let queries: Vec<&Query> = [&asked.first].into_iter().chain(&asked.others).collect();
    queries.iter().for_each(|query| assert_names_only_what_it_uses(query));
    let all: BTreeSet<&String> = queries.iter().flat_map(|query| query.names.values()).collect();
    assert!(named(2_500).iter().all(|name| all.contains(name)));
}

#[test]
fn more_names_than_are_worth_it_and_too_long_a_filter_are_left_to_us() {
    let asked = scan::query::of_rows(&request().with_names(named(10_000)), "r");
    assert!(asked.first.projection.is_none() && asked.others.is_empty());
    assert_names_only_what_it_uses(&asked.first);
    let texts = (0..101).map(|number| number.to_string().into()).collect();
    let wide = Predicate::AnyText { names: vec!["site".into()], texts };
    let asked = scan::query::of_rows(&request().with_predicate(wide), "r");
    assert_eq!(asked.first.filter, None);
    assert!(asked.first.names.values().any(|name| name == "site"), "it is still read, to be tested here");
}

// N1, I2, I5: the content that stands decides; a busy or a throttled row is tried again.
#[test]
fn the_reasons_of_a_refusal_decide_row_by_row() {
    let reason = |code: &str, content: Option<u8>| {
        let item = content.map(|content| Item::from([(cells::CONTENT.to_owned(), binary([content; 16]))]));
        CancellationReason::builder().code(code).set_item(item).build()
    };
    let met = |guard: &CancellationReason| verdict(guard, None, ContentHash([1; 16]));
    let outcome = |guard| met(&guard).map(|met| met.outcome().clone().into_result().unwrap());
    assert_eq!(outcome(reason("ConditionalCheckFailed", Some(1))), Some(Written::Duplicate));
    assert_eq!(outcome(reason("ConditionalCheckFailed", Some(2))), Some(Written::Conflict));
    for code in ["None", "TransactionConflict", "ThrottlingError"] {
        assert!(met(&reason(code, None)).is_none(), "{code}");
    }
    let refused = met(&reason("ValidationError", None)).unwrap();
    assert!(matches!(refused.outcome(), Outcome::NotDone(_)));
}
