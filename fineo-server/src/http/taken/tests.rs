//! What is told of many events, and how much of it at a time.

use std::sync::Arc;

use fineo::{Durability, core::Code};
use http_body_util::BodyExt;

use super::{Failing, Outcome, PIECE_BYTES, Rejection, STRETCHES_MAX, Taken};

fn taken(stretches: Vec<(Outcome, u64)>) -> Arc<Taken> {
    Arc::new(Taken { stretches, ..Taken::new(Durability::Volatile) })
}

fn refused(message: &str) -> Outcome {
    Outcome::Rejected(Rejection::new(Code::BadUtf8, message))
}

#[tokio::test]
async fn every_event_is_told_in_order_in_pieces_that_are_small() {
    let many =
        taken(vec![(Outcome::Accepted, 50_000), (refused("a \"quote\""), 2), (Outcome::Failed(Failing::Full), 1)]);
    let mut body = many.write("{\"taken\":", "}");
    let (mut text, mut pieces) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let data = frame.unwrap().into_data().unwrap();
        assert!(data.len() < PIECE_BYTES + 1_000, "{}", data.len());
        text.extend_from_slice(&data);
        pieces += 1;
    }
    assert!(pieces > 10, "{pieces}");
    let told: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let results = told["taken"]["results"].as_array().unwrap();
    let statuses: Vec<&str> = results.iter().map(|result| result["status"].as_str().unwrap()).collect();
    assert!(statuses[..50_000].iter().all(|status| *status == "accepted"));
    assert_eq!(statuses[50_000..], ["rejected", "rejected", "failed"]);
    assert_eq!(results[50_001]["message"], "a \"quote\"");
    assert_eq!(results[50_002]["code"], "storage_full");
}

#[tokio::test]
async fn a_short_answer_has_a_length() {
    for stretches in [Vec::new(), vec![(Outcome::Accepted, 1_000)]] {
        let body = taken(stretches).write("", "");
        assert!(axum::body::HttpBody::size_hint(&body).exact().is_some());
    }
}

#[test]
fn what_is_remembered_has_an_end() {
    let mut taken = Taken::new(Durability::Volatile);
    taken.stretches = (0..STRETCHES_MAX).map(|index| (refused(&index.to_string()), 1)).collect();
    assert!(taken.check().is_ok());
    taken.stretches.push((Outcome::Accepted, 1));
    assert_eq!(taken.check().unwrap_err().code(), "limit_exceeded");
}
