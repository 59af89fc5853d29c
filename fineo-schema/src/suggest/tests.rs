//! Which proposals follow from what events bore.

use std::sync::Arc;

use fineo_backend_memory::MemoryRepo;
use fineo_core::{
    ContentHash, Cover, EventId, ManualClock, Position, ShardId, TenantId, Timestamp,
    nearline::{RowHead, Rows},
};

use super::{SuggestionKind, likeness::is_like, suggest};
use crate::{Change, ChangeId, ChangeRequest, Discovery, SchemaStore, TenantSchema, misfits};

fn rows(events: &[&[(&str, &str)]]) -> Rows {
    let mut rows = Rows::new(ShardId::new("s0").unwrap());
    for (number, cells) in (1_u64..).zip(events) {
        let at = Timestamp::default();
        let (id, content, position) = (EventId([0; 16]), ContentHash([0; 16]), Position::from(number));
        rows.row(RowHead { timestamp: at, id, content, position, ingested_at: at }, "pump");
        cells.iter().for_each(|(name, text)| rows.cell(name, text));
    }
    rows
}

/// Stores, and a tenant whose events brought in the metric `pump`.
async fn with_pump() -> (SchemaStore, Discovery, TenantId, Arc<TenantSchema>) {
    let repo = Arc::new(MemoryRepo::new());
    let clock = Arc::new(ManualClock::new(Timestamp::default()));
    let (store, discovery) = (SchemaStore::new(repo.clone(), clock.clone()), Discovery::new(repo, clock));
    let tenant = TenantId::new("acme").unwrap();
    let schema = store.discover_metrics(&tenant, &["pump".into()]).await.unwrap();
    (store, discovery, tenant, schema)
}

#[test]
fn names_are_alike_when_a_person_would_say_so() {
    for (left, right) in
        [("temp", "temperature"), ("Temp_C", "tempC"), ("preasure", "pressure"), ("humidity", "Humidity")]
    {
        assert!(is_like(left, right), "{left} {right}");
    }
    for (left, right) in [("temp1", "temp2"), ("temp", "pressure"), ("a", "b"), ("", ""), ("lat", "lon")] {
        assert!(!is_like(left, right), "{left} {right}");
    }
}

#[tokio::test]
async fn fields_are_proposed_with_types_and_merges_with_their_evidence_and_applied_in_one_change() {
    let (store, discovery, tenant, schema) = with_pump().await;
    let metric = schema.metric_named("pump").unwrap().id().clone();
    let events = rows(&[
        &[("temp", "20.5"), ("on", "true"), ("note", "fine")],
        &[("temp", "22"), ("on", "false")],
        &[("temperature", "21"), ("on", "true")],
        &[("temperature", "21.5"), ("day", "2016-02-14")],
    ]);
    discovery.observe(&tenant, &metric, &events, &|_| true);
    let found = suggest(&schema, &discovery, None);
    let text: Vec<String> = found.iter().map(ToString::to_string).collect();
    let expects = |part: &str| assert!(text.iter().any(|line| line.contains(part)), "{part}: {text:#?}");
    expects("declare the metric (5 names seen");
    expects("declare temp as double");
    expects("declare on as boolean");
    expects("declare note as string");
    expects("declare day as date");
    expects("read temperature as an alias of temp");
    expects("no event bore both temperature and temp");

    let merge = found.iter().find(|suggestion| suggestion.to_string().contains("temperature as an alias")).unwrap();
    let request = ChangeRequest::new(ChangeId::of_bytes([1; 16]), merge.changes.clone());
    let applied = store.apply(&tenant, request).await.unwrap();
    let metric = applied.schema.metric_named("pump").unwrap();
    assert_eq!(metric.field_named("temperature").unwrap().names, ["temp".into(), "temperature".into()]);
    let later = suggest(&applied.schema, &discovery, Some(metric.id()));
    assert!(later.iter().all(|suggestion| !suggestion.to_string().contains("temp")), "{later:?}");
    store.undo(&tenant, &applied.id, ChangeId::of_bytes([2; 16]), None).await.unwrap();
    assert_eq!(suggest(&store.cached(&tenant).unwrap(), &discovery, None), found);
}

#[tokio::test]
async fn names_that_one_event_bore_together_are_not_proposed_as_one() {
    let (store, discovery, tenant, _) = with_pump().await;
    let change = Change::AddField {
        metric: "pump".into(),
        name: "temp".into(),
        field_type: "double".into(),
        aliases: vec![],
        unit: None,
    };
    let applied = store.apply(&tenant, ChangeRequest::new(ChangeId::of_bytes([1; 16]), vec![change])).await.unwrap();
    let id = applied.schema.metric_named("pump").unwrap().id().clone();
    let events = rows(&[&[("temp", "1")], &[("temperature", "1"), ("temp", "1")], &[("temps", "900")]]);
    discovery.observe(&tenant, &id, &events, &|_| true);
    let found = suggest(&applied.schema, &discovery, Some(&id));
    let text: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(text.len(), 2, "{text:?}");
    assert!(text[0].contains("declare temperature as long") && text[1].contains("declare temps as long"), "{text:?}");
}

#[tokio::test]
async fn what_is_told_of_a_name_is_nothing_that_was_deleted_and_no_type_that_loses_digits() {
    let (store, discovery, tenant, schema) = with_pump().await;
    let metric = schema.metric_named("pump").unwrap().id().clone();
    let observed = rows(&[
        &[("token", "secret"), ("zip", "01000"), ("big", "12345678901234567890")],
        &[("token", "new"), ("zip", "20095"), ("big", "7")],
    ]);
    discovery.observe(&tenant, &metric, &observed, &|_| true);
    let mut through = Cover::default();
    through.advance(&ShardId::new("s0").unwrap(), Position::from(1));
    let delete = Change::DeleteField { metric: "pump".into(), field: "token".into(), through };
    let request = ChangeRequest::new(ChangeId::of_bytes([1; 16]), vec![delete]);
    let schema = store.apply(&tenant, request).await.unwrap().schema;
    let told = suggest(&schema, &discovery, None).iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert!(told.contains("declare token as string (2 values; of which nothing more is told"), "{told}");
    assert!(!told.contains("secret") && !told.contains("new,"), "{told}");
    assert!(told.contains("declare zip as string") && told.contains("declare big as string"), "{told}");
}

/// Values of `name` that were seen, the first of them once and the second often.
fn mostly(name: &'static str, seldom: &'static str, often: &'static str) -> Rows {
    let cells: Vec<[(&str, &str); 1]> =
        (0..60).map(|number| [(name, if number == 30 { seldom } else { often })]).collect();
    let events: Vec<&[(&str, &str)]> = cells.iter().map(<[_; 1]>::as_slice).collect();
    rows(&events)
}

#[tokio::test]
async fn no_type_is_proposed_that_would_throw_away_what_was_seen() {
    for (seldom, often, proposed, told) in [
        ("0.4", "0", "double", "all of 60"),
        // No type holds it but text, and that would make text of all readings.
        ("NA", "0", "long", "98 % of 60"),
        ("NA", "0.5", "double", "98 % of 60"),
        ("7", "2016-02-14T10:00:00Z", "timestamp", "all of 60"),
        ("maybe", "true", "boolean", "98 % of 60"),
        ("2016-02-14T10:00:00Z", "unknown", "string", "all of 60"),
    ] {
        let (_, discovery, tenant, schema) = with_pump().await;
        let metric = schema.metric_named("pump").unwrap().id().clone();
        discovery.observe(&tenant, &metric, &mostly("rain", seldom, often), &|_| true);
        let found = suggest(&schema, &discovery, None);
        let text = found.iter().map(ToString::to_string).find(|line| line.contains("declare rain")).unwrap();
        assert!(
            text.contains(&format!("declare rain as {proposed} (60 values; {told} tried are {proposed}")),
            "{text}"
        );
        assert_eq!(text.contains("the others would be null"), told.contains('%'), "{text}");
    }
}

#[tokio::test]
async fn text_that_is_mostly_of_a_type_is_proposed_as_text_and_says_so() {
    let (_, discovery, tenant, schema) = with_pump().await;
    let metric = schema.metric_named("pump").unwrap().id().clone();
    let cells: Vec<[(&str, &str); 1]> =
        (0..60).map(|number| [("rain", if number % 5 == 0 { "NA" } else { "0.5" })]).collect();
    let events: Vec<&[(&str, &str)]> = cells.iter().map(<[_; 1]>::as_slice).collect();
    discovery.observe(&tenant, &metric, &rows(&events), &|_| true);
    let found: Vec<String> = suggest(&schema, &discovery, None).iter().map(ToString::to_string).collect();
    let told = "declare rain as string (60 values; all of 60 tried are string; 80 % are double, as which the others would be null";
    assert!(found.iter().any(|line| line.contains(told)), "{found:?}");
}

#[tokio::test]
async fn what_is_known_not_to_fit_a_type_is_told_of_each_name() {
    let (store, discovery, tenant, schema) = with_pump().await;
    let id = schema.metric_named("pump").unwrap().id().clone();
    discovery.observe(&tenant, &id, &mostly("rain", "0.4", "0"), &|_| true);
    let (metric, name) = (|| "pump".to_owned(), || "rain".to_owned());
    let add = |field_type: &str| Change::AddField {
        metric: metric(),
        name: name(),
        field_type: field_type.to_owned(),
        aliases: vec![],
        unit: None,
    };
    let retype =
        |field_type: &str| Change::RetypeField { metric: metric(), field: name(), field_type: field_type.to_owned() };
    let of = |known: &str| format!("metric pump: {known}, and are null in rain");
    for (number, change, told) in [
        (1, add("long"), Some(of("1 of 60 values that were tried as rain are not long"))),
        (2, retype("double"), None),
        (3, retype("boolean"), Some(of("60 of 60 values that were tried as rain are not boolean"))),
        (4, retype("bytes"), None),
    ] {
        let request = ChangeRequest::new(ChangeId::of_bytes([number; 16]), vec![change.clone()]);
        let schema = store.apply(&tenant, request).await.unwrap().schema;
        let lines = misfits(&schema, &[change], &|metric| discovery.seen(&tenant, metric.row_metrics()));
        assert_eq!(lines, Vec::from_iter(told));
    }
}

/// One row of a reading at each of these milliseconds since 1970, at positions from `first` on.
fn rows_at(first: u64, millis: impl IntoIterator<Item = i64>) -> Rows {
    let mut rows = Rows::new(ShardId::new("s0").unwrap());
    for (number, millis) in (first..).zip(millis) {
        let timestamp = Timestamp::from_micros(millis * 1000).unwrap();
        let (id, content, position) = (EventId([0; 16]), ContentHash([0; 16]), Position::from(number));
        rows.row(RowHead { timestamp, id, content, position, ingested_at: Timestamp::default() }, "pump");
        rows.cell("temp", "20.5");
    }
    rows
}

#[tokio::test]
async fn seconds_that_were_read_as_milliseconds_are_told_until_they_are_read_as_seconds() {
    let (store, discovery, tenant, schema) = with_pump().await;
    let metric = schema.metric_named("pump").unwrap().id().clone();
    let to_read = |schema: &TenantSchema| {
        suggest(schema, &discovery, None).into_iter().find(|found| found.kind == SuggestionKind::ReadSeconds)
    };
    // One in two hundred may be of 1970.
    let right = (0..199).map(|number| 1_767_600_000_000 + number);
    discovery.observe(&tenant, &metric, &rows_at(1, right.chain([1_767_600_000])), &|_| true);
    assert_eq!(to_read(&schema), None);
    let mixed = rows_at(201, [1_767_600_000, 1_767_600_060, 1_767_600_000_000]);
    discovery.observe(&tenant, &metric, &mixed, &|_| true);
    let told = to_read(&schema).unwrap();
    assert_eq!(told.evidence[0].split(" are ").next(), Some("3 of 203 rows"));
    assert_eq!(told.kind.to_string(), "read times that are numbers as seconds");
    let request = ChangeRequest::new(ChangeId::of_bytes([1; 16]), told.changes);
    store.apply(&tenant, request).await.unwrap();
    let schema = store.refresh(&tenant).await.unwrap();
    assert_eq!(to_read(&schema), None);
    let parser = schema.metric_named("pump").unwrap().time_parser();
    assert_eq!(parser.parse("1767600000"), parser.parse("2026-01-05T08:00:00Z"));
    assert_eq!(parser.parse("1767600000000"), parser.parse("2026-01-05T08:00:00Z"));
}
