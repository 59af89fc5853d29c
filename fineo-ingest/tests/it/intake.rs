//! A body that comes in slices is taken in as if it had come whole.

use std::sync::Arc;

use fineo_core::{Code, Result, SeededEntropy, Stream, SystemClock};
use fineo_ingest::{Edge, EventResult, ImportOptions, Intake, Limits, Receipt, Routing};

use crate::support::{World, tenant};

fn edge(world: &World) -> Edge {
    let raw: Arc<dyn Stream> = Arc::new(world.raw.clone());
    let limits = Limits::default().with_event_bytes_max(200);
    Edge::new(raw, Arc::new(SystemClock), Arc::new(SeededEntropy::new(3)), limits, Arc::default())
}

fn intake(world: &World, events_max: u64) -> Intake {
    let acme = tenant("acme");
    edge(world).intake(&acme, ImportOptions::new(Routing::Tenant(acme.clone())), events_max).unwrap()
}

/// What became of each event, in a word.
fn told(receipt: &Receipt, told: &mut Vec<&'static str>) {
    told.extend(receipt.results().map(|result| match result {
        EventResult::Accepted(_) => "accepted",
        EventResult::Rejected(rejection) => rejection.code.as_str(),
        EventResult::Failed(_) => "failed",
    }));
}

/// What is told of `body` in slices of `size` bytes, and what it is refused for as a whole, if it is.
async fn sent(world: &World, body: &[u8], size: usize, events_max: u64) -> Result<(Vec<&'static str>, Option<Code>)> {
    let mut intake = intake(world, events_max);
    let mut results = Vec::new();
    let mut slices = body.chunks(size).peekable();
    loop {
        intake.add(slices.next().unwrap_or_default());
        let is_end = slices.peek().is_none();
        loop {
            match intake.store(is_end).await? {
                Ok(Some(receipt)) => told(&receipt, &mut results),
                Ok(None) => break,
                Err(rejection) => return Ok((results, Some(rejection.code))),
            }
        }
        if is_end {
            return Ok((results, None));
        }
    }
}

// E01, E21, E31, E34
#[tokio::test]
async fn slices_make_no_difference_to_what_is_told_of_events() {
    let good = r#"{"metrictype":"m","timestamp":1,"text":"}{ \" ü"}"#;
    let (large, deep) =
        (format!("{{\"text\":\"{}\"}}", "x".repeat(300)), format!("{}{}", "[".repeat(70), "]".repeat(70)));
    let world = World::new();
    for (body, expected) in [
        (format!("{good}\n{good}\n{large}\n{good}"), vec!["accepted", "accepted", "event_too_large", "accepted"]),
        (format!("\u{feff}[{good},{deep},{good}]"), vec!["accepted", "too_deep", "accepted"]),
        (format!("{large}{large}"), vec!["event_too_large", "event_too_large"]),
        (format!("{good}\n{{\"a\":\n{good}"), vec!["accepted", "accepted", "accepted"]),
        ("1 2 null \"x\"".to_owned(), vec!["accepted"; 4]),
        ("{\"open".to_owned(), vec!["json_unreadable"]),
        ("[]".to_owned(), vec![]),
    ] {
        let mut whole = Vec::new();
        told(&edge(&world).ingest(&tenant("acme"), body.clone().into()).await.unwrap(), &mut whole);
        assert_eq!(whole, expected, "{body}");
        for size in [1, 7, 100, body.len()] {
            let (results, refused) = sent(&world, body.as_bytes(), size, 100).await.unwrap();
            assert_eq!((results, refused), (whole.clone(), None), "{body} in slices of {size}");
        }
    }
    for blank in ["", " \n", "\u{feff} "] {
        assert_eq!(sent(&world, blank.as_bytes(), 4, 100).await.unwrap(), (vec![], Some(Code::Empty)), "{blank:?}");
    }
}

// E34
#[tokio::test]
async fn too_many_events_are_refused_before_any_of_their_slice_is_stored() {
    let world = World::new();
    let body = "{\"metrictype\":\"m\",\"timestamp\":1}\n".repeat(11);
    let line = body.len() / 11;
    for (slice, taken) in [(body.len(), 0), (4 * line, 8), (line, 10)] {
        let (results, refused) = sent(&world, body.as_bytes(), slice, 10).await.unwrap();
        assert_eq!((results.len(), refused), (taken, Some(Code::TooManyEvents)));
    }
    assert_eq!(sent(&world, body.as_bytes(), 4 * line, 11).await.unwrap(), (vec!["accepted"; 11], None));
}

#[tokio::test]
async fn more_events_than_are_stored_at_once_are_stored_in_turn() {
    let world = World::new();
    let body = "1\n".repeat(40_000);
    let (results, refused) = sent(&world, body.as_bytes(), body.len(), 50_000).await.unwrap();
    assert_eq!((results, refused), (vec!["accepted"; 40_000], None));
}

// D4
#[tokio::test]
async fn the_limits_of_an_edge_are_those_that_it_was_given() {
    let world = World::new();
    let limits = Limits::default().with_body_bytes_max(50).with_events_max(2).with_fields_max(3).with_nesting_max(4);
    let raw: Arc<dyn Stream> = Arc::new(world.raw.clone());
    let edge = Edge::new(raw, Arc::new(SystemClock), Arc::new(SeededEntropy::new(3)), limits, Arc::default());
    let long = |bytes: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - 8));
    let cases = [
        (long(50), None, ""),
        (long(51), Some(Code::RequestTooLarge), "at most 50 are taken"),
        ("{}{}".to_owned(), None, ""),
        ("{}{}{}".to_owned(), Some(Code::TooManyEvents), "more than 2 events"),
        (r#"{"a":1,"b":1,"c":1}"#.to_owned(), None, ""),
        (r#"{"a":1,"b":1,"c":1,"d":1}"#.to_owned(), Some(Code::TooManyFields), "at most 3 fields"),
        (r#"{"a":[[[1]]]}"#.to_owned(), None, ""),
        (r#"{"a":[[[[1]]]]}"#.to_owned(), Some(Code::TooDeep), "at most 4 deep"),
    ];
    for (body, code, words) in cases {
        let receipt = edge.ingest(&tenant("acme"), body.clone().into()).await.unwrap();
        let rejection = receipt.rejected().first().map(|(_, rejection)| rejection.clone());
        assert_eq!(rejection.as_ref().map(|rejection| rejection.code), code, "{body}");
        assert!(rejection.is_none_or(|rejection| rejection.message.contains(words)), "{body}: {words}");
    }
    assert_eq!(Limits::default().with_nesting_max(65).nesting_max, 64, "what is read deeper is nobody's to set");
}
