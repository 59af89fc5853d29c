//! Events that are sent: none is lost, none is stored twice, and each has its answer.

use fineo_client::{EventOutcome, EventStatus, Sent};
use fineo_core::{Error, ErrorKind};

use crate::{
    rig::{Rig, accepted, doors, problem, told},
    server::Deed,
};

fn statuses(sent: &Sent) -> String {
    let sign = |outcome: &EventOutcome| match outcome.status {
        EventStatus::Accepted => 'a',
        EventStatus::Rejected => 'r',
        EventStatus::Failed => 'f',
    };
    sent.results.iter().map(sign).collect()
}

#[tokio::test]
async fn each_request_has_a_key_of_its_own_that_stays_the_same_at_each_try() {
    let first = "a".repeat(10_000);
    let rig = Rig::new([Deed::Close, accepted(&first, "s0:1"), Deed::BreakOff, accepted("ar", "s0:2,s1:1")]).await;
    let sent = rig.client.send(&doors(10_002)).await.unwrap();
    assert_eq!((sent.accepted, sent.rejected, sent.failed), (10_001, 1, 0));
    assert_eq!((sent.results.len(), sent.token.to_string()), (10_002, "s0:2,s1:1".to_owned()));
    assert_eq!(sent.results[10_001].code.as_deref(), Some("bad_utf8"));
    let heard = rig.server.heard();
    assert_eq!((&heard[0], &heard[2]), (&heard[1], &heard[3]));
    assert_ne!(heard[0].key(), heard[2].key());
    assert_eq!(heard[2].body, "{\"metrictype\":\"door\",\"n\":10000}\n{\"metrictype\":\"door\",\"n\":10001}\n");
}

#[tokio::test]
async fn what_earlier_requests_were_answered_is_not_lost_when_a_later_one_fails() {
    let first = "a".repeat(9_999) + "r";
    let rig = Rig::new([
        accepted(&first, "s0:1"),
        problem(403, "", "forbidden"),
        accepted(&first, "s0:3"),
        accepted("a", "s0:4"),
    ])
    .await;
    let error = rig.client.send(&doors(10_001)).await.unwrap_err();
    assert_eq!((error.sent.accepted, error.sent.rejected, error.sent.results.len()), (9_999, 1, 10_000));
    assert_eq!((error.sent.token.to_string(), error.error.code()), ("s0:1".to_owned(), Some("forbidden")));

    // Sent again under its key, they are the same events.
    let sent = rig.client.send_under(&error.key, &doors(10_001)).await.unwrap();
    assert_eq!((sent.accepted, sent.token.to_string()), (10_000, "s0:4".to_owned()));
    let heard = rig.server.heard();
    assert_eq!((heard[0].key(), &heard[0].body), (heard[2].key(), &heard[2].body));
    assert_eq!((heard[1].key(), &heard[1].body), (heard[3].key(), &heard[3].body));
    assert_eq!(Error::from(error).code(), Some("forbidden"));
}

#[tokio::test]
async fn what_the_stream_did_not_take_is_sent_again_with_all_of_its_body() {
    let rig = Rig::new([accepted("araf", "s0:1"), accepted("frfa", "s0:2"), accepted("araa", "s0:3")]).await;
    let sent = rig.client.send(&doors(4)).await.unwrap();
    assert_eq!((statuses(&sent), sent.token.to_string()), ("araa".to_owned(), "s0:2".to_owned()));
    let heard = rig.server.heard();
    assert_eq!((heard.len(), &heard[0]), (2, &heard[1]));
}

#[tokio::test]
async fn what_the_stream_never_takes_is_told_for_each_event() {
    let none = Deed::Answer(503, "retry-after: 2\r\n", told("ff", "none"));
    let rig = Rig::with_options([none, accepted("fa", "s0:1")], |options| options.with_tries_max(2)).await;
    let error = rig.client.send(&doors(2)).await.unwrap_err();
    assert_eq!((error.error.kind(), error.error.code()), (ErrorKind::Unavailable, Some("unavailable")));
    assert_eq!((statuses(&error.sent), error.sent.failed), ("fa".to_owned(), 1));
    assert_eq!(error.to_string(), "the stream did not take all events: failed=1, code=unavailable, tries=2");
    assert!(rig.waits()[0].as_secs() >= 2);
}

#[tokio::test]
async fn what_was_taken_of_a_body_that_was_not_taken_to_its_end_is_told() {
    let broken = format!(r#"{{"code":"unavailable","detail":"no","status":503,"taken":{}}}"#, told("ar", "s0:1"));
    let rig =
        Rig::with_options([Deed::Answer(503, "", broken), Deed::Close], |options| options.with_tries_max(2)).await;
    let error = rig.client.send(&doors(3)).await.unwrap_err();
    assert_eq!((statuses(&error.sent), error.sent.token.to_string()), ("ar".to_owned(), "s0:1".to_owned()));
    assert!(error.error.is_retryable() && error.error.may_have_applied(), "{error:?}");
}

#[tokio::test]
async fn an_error_says_whether_what_was_sent_may_be_stored() {
    for (deed, may_be_stored) in [
        (Deed::Close, true),
        (Deed::BreakOff, true),
        (problem(503, "", "unavailable"), true),
        (problem(500, "", "internal"), true),
        (problem(429, "", "too_many_requests"), false),
        (problem(403, "", "forbidden"), false),
    ] {
        let rig = Rig::with_options([deed.clone()], |options| options.with_tries_max(1)).await;
        let error = rig.client.send(&doors(1)).await.unwrap_err();
        assert_eq!(error.error.may_have_applied(), may_be_stored, "{deed:?}");
    }
    // What is not known of the first try is not known after the second either.
    let rig = Rig::new([Deed::Close, problem(403, "", "forbidden")]).await;
    assert!(rig.client.send(&doors(1)).await.unwrap_err().error.may_have_applied());
}

#[tokio::test]
async fn an_answer_about_another_number_of_events_is_none() {
    let rig = Rig::new([accepted("a", "s0:1")]).await;
    let error = rig.client.send(&doors(2)).await.unwrap_err();
    assert_eq!((error.error.kind(), error.error.value("told")), (ErrorKind::Internal, Some("1")));
}

#[tokio::test]
async fn long_bodies_are_packed_and_short_ones_are_not() {
    let rig = Rig::new([accepted(&"a".repeat(100), "s0:1"), accepted("a", "s0:2")]).await;
    let _ = rig.client.send(&doors(100)).await.unwrap();
    let _ = rig.client.send(&doors(1)).await.unwrap();
    let heard = rig.server.heard();
    assert_eq!((heard[0].header("content-encoding"), heard[1].header("content-encoding")), (Some("gzip"), None));
    assert_eq!(heard[0].body.lines().count(), 100);
    let packed: usize = heard[0].header("content-length").unwrap().parse().unwrap();
    assert!(packed < heard[0].body.len() / 3, "{packed}");

    let plain =
        Rig::with_options([accepted(&"a".repeat(100), "s0:1")], |options| options.with_gzip_bytes_min(usize::MAX));
    let plain = plain.await;
    let _ = plain.client.send(&doors(100)).await.unwrap();
    assert_eq!(plain.server.heard()[0].header("content-encoding"), None);
}

#[tokio::test]
async fn a_key_is_of_visible_characters_and_short() {
    let rig = Rig::new([]).await;
    for key in ["a b", "ä", "a\n", &"a".repeat(254)] {
        let error = rig.client.send_under(key, &doors(1)).await.unwrap_err();
        assert_eq!(error.error.kind(), ErrorKind::Invalid, "{key}");
    }
    assert_eq!(rig.server.heard().len(), 0);
    assert_eq!(rig.client.send(&doors(0)).await.unwrap(), Sent::default());
}
