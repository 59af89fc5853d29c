//! What fails for a reason that may pass is tried again, within bounds.

use std::{sync::Arc, time::Duration};

use fineo_client::{Client, ClientOptions};
use fineo_core::{Error, ErrorKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    rig::{Door, Rig, Row, TIME_MAX, client, doors, problem, rows},
    server::Deed,
};

#[tokio::test]
async fn a_server_that_says_nothing_is_waited_for_no_longer_than_a_call_may_take() {
    let mut rig = Rig::new([Deed::Silence, Deed::Silence]).await;
    let asked = tokio::join!(rig.client.query("SELECT 1").rows::<Row>(), async {
        rig.server.arrival().await;
        rig.clock.manual.advance(TIME_MAX);
    });
    let error = asked.0.unwrap_err();
    assert_eq!(
        (error.kind(), error.value("waited"), error.may_have_applied()),
        (ErrorKind::Unavailable, Some("60s"), false)
    );
    assert!(
        error.to_string().starts_with("the server did not answer in time: waited=60s, url=http://127.0.0.1:"),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("time_max"), "{error}");

    // Whether what was sent was heard is not known.
    let events = doors(1);
    let sent = tokio::join!(rig.client.send(&events), async {
        rig.server.arrival().await;
        rig.clock.manual.advance(TIME_MAX);
    });
    assert!(sent.0.unwrap_err().error.may_have_applied());
}

#[tokio::test]
async fn a_question_may_be_given_more_time_than_others() {
    let longer = Duration::from_secs(300);
    let mut rig = Rig::with_options([Deed::Silence], |options| options.with_time_max(Duration::from_secs(1))).await;
    let asked = tokio::join!(rig.client.query("SELECT 1").with_time_max(TIME_MAX).rows::<Row>(), async {
        rig.server.arrival().await;
        rig.clock.manual.advance(longer);
    });
    assert_eq!(asked.0.unwrap_err().value("waited"), Some("60s"));
}

#[tokio::test]
async fn time_that_passes_between_tries_counts_and_the_last_failure_is_the_source() {
    let mut rig = Rig::new([problem(503, "retry-after: 20\r\n", "unavailable"), Deed::Silence]).await;
    let asked = tokio::join!(rig.client.query("SELECT 1").rows::<Row>(), async {
        rig.server.arrival().await;
        rig.server.arrival().await;
        rig.clock.manual.advance(Duration::from_secs(40));
    });
    let error = asked.0.unwrap_err();
    assert_eq!((error.value("waited"), error.value("tries")), (Some("60s"), Some("2")));
    let source = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<Error>()).unwrap();
    assert_eq!(source.code(), Some("unavailable"));
}

#[tokio::test]
async fn a_failure_that_may_pass_is_tried_again() {
    let no_problem = Deed::Answer(502, "content-type: text/html\r\n", "<html>bad gateway</html>".to_owned());
    for deed in [
        Deed::Close,
        Deed::BreakOff,
        problem(503, "", "unavailable"),
        problem(429, "", "too_many_requests"),
        problem(408, "", "request_timeout"),
        no_problem,
    ] {
        let rig = Rig::new([deed.clone(), rows()]).await;
        assert_eq!(rig.ask().await.unwrap(), [Row { n: 3 }], "{deed:?}");
        let heard = rig.server.heard();
        assert_eq!(heard.len(), 2, "{deed:?}");
        assert_eq!(heard[0], heard[1], "{deed:?}");
        assert_eq!(rig.waits().len(), 1, "{deed:?}");
    }
}

#[tokio::test]
async fn what_the_server_refuses_is_not_tried_again_and_has_its_code_hint_and_position() {
    for (status, code, kind) in [
        (400, "unknown_table", ErrorKind::Invalid),
        (401, "unauthenticated", ErrorKind::Invalid),
        (404, "not_found", ErrorKind::NotFound),
        (413, "request_too_large", ErrorKind::LimitExceeded),
        (422, "time_limit", ErrorKind::LimitExceeded),
        (422, "unsupported", ErrorKind::Unsupported),
        (422, "idempotency_key_reused", ErrorKind::Invalid),
        (500, "internal", ErrorKind::Internal),
        (500, "corrupt", ErrorKind::Corrupt),
        (504, "freshness_timeout", ErrorKind::Unavailable),
        (507, "storage_full", ErrorKind::StorageFull),
    ] {
        let rig = Rig::new([problem(status, "", code)]).await;
        let error = rig.ask().await.unwrap_err();
        assert_eq!((error.kind(), error.code(), error.hint()), (kind, Some(code), Some("look")), "{error}");
        assert_eq!((error.message(), error.value("position")), ("no", Some("line 1, column 15")), "{error}");
        assert_eq!((rig.server.heard().len(), error.value("tries")), (1, None), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_asks_for_patience_is_left_alone_for_so_long() {
    let rig = Rig::new([problem(429, "retry-after: 7\r\n", "too_many_requests"), rows()]).await;
    rig.ask().await.unwrap();
    let wait = rig.waits()[0];
    assert!(wait >= Duration::from_secs(7) && wait < Duration::from_secs(8), "{wait:?}");
}

#[tokio::test]
async fn a_server_that_asks_for_more_patience_than_there_is_time_is_not_waited_for() {
    let rig = Rig::new([problem(429, "retry-after: 60\r\n", "too_many_attempts")]).await;
    let error = rig.ask().await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Throttled, Some("too_many_attempts")));
    assert_eq!((error.retry_after(), rig.waits().len()), (Some(TIME_MAX), 0));
}

#[tokio::test]
async fn tries_are_bounded_and_waits_between_them_grow() {
    let rig = Rig::new(std::iter::repeat_n(problem(503, "", "unavailable"), 9)).await;
    let error = rig.ask().await.unwrap_err();
    assert_eq!((error.code(), error.value("tries")), (Some("unavailable"), Some("6")));
    assert_eq!(rig.server.heard().len(), 6);
    let waits: Vec<u128> = rig.waits().iter().map(Duration::as_millis).collect();
    let longest = [250, 500, 1_000, 2_000, 4_000];
    assert!(waits.iter().zip(longest).all(|(wait, longest)| (longest / 2..=longest).contains(wait)), "{waits:?}");
    assert_eq!(waits.len(), longest.len());
    // Chance keeps those who failed together apart.
    assert!(waits.iter().zip(longest).any(|(wait, longest)| *wait != longest / 2), "{waits:?}");
}

#[tokio::test]
async fn trying_again_can_be_turned_off() {
    let rig = Rig::with_options([Deed::Close, rows()], |options| options.with_tries_max(1)).await;
    let error = rig.ask().await.unwrap_err();
    assert_eq!((error.kind(), error.may_have_applied()), (ErrorKind::Unavailable, false), "{error:?}");
    assert_eq!((rig.server.heard().len(), rig.waits().len()), (1, 0));
}

#[tokio::test]
async fn a_declaration_is_the_same_change_at_each_try() {
    let declared = Deed::Answer(200, "", r#"{"version":1}"#.to_owned());
    let deeds = [Deed::Close, problem(412, "", "schema_conflict"), declared.clone(), declared];
    let rig = Rig::new(deeds).await;
    rig.client.declare::<Door>().await.unwrap();
    rig.client.declare::<Door>().await.unwrap();
    let heard = rig.server.heard();
    assert_eq!((&heard[0], &heard[0]), (&heard[1], &heard[2]));
    assert_ne!(heard[2].key(), heard[3].key());
}

#[tokio::test]
async fn where_nobody_listens_nothing_was_sent() {
    let rig = Rig::new([]).await;
    // Free again, and nobody's.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = client(&format!("http://{address}"), &rig.clock, |options| options);
    let error = client.send(&doors(1)).await.unwrap_err();
    assert_eq!((error.error.kind(), error.error.may_have_applied()), (ErrorKind::Unavailable, false));
    assert_eq!((error.error.value("tries"), error.sent.results.len()), (Some("6"), 0));
}

#[tokio::test]
async fn a_server_that_cannot_be_trusted_is_not_tried_again() {
    let rig = Rig::new([]).await;
    // It speaks, but not TLS.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        stream.read(&mut [0; 4096]).await
    });
    let client = client(&format!("https://{address}"), &rig.clock, |options| options);
    let error = client.query("SELECT 1").rows::<Row>().await.unwrap_err();
    assert_eq!((error.kind(), rig.waits().len()), (ErrorKind::Invalid, 0), "{error:?}");
    assert!(error.hint().unwrap().contains("certificate"), "{error}");
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn a_connection_that_does_not_come_about_is_waited_for_no_longer_than_it_may_take() {
    // The queue of a listener that nobody asks is full after one: the others hear nothing.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let _first = tokio::net::TcpStream::connect(address).await.unwrap();
    let options = ClientOptions::default().with_connect_time_max(Duration::from_millis(50)).with_tries_max(1);
    let client = Client::with_options(&format!("http://{address}"), "secret", options).unwrap();
    let error = client.query("SELECT 1").rows::<Row>().await.unwrap_err();
    assert_eq!((error.kind(), error.value("waited")), (ErrorKind::Unavailable, Some("50ms")), "{error:?}");
    assert!(error.hint().unwrap().contains("connect_time_max"), "{error}");
}

#[tokio::test]
async fn a_client_is_for_every_task_and_never_shows_its_token() {
    fn is_shared<T: Send + Sync + 'static>(_: &T) {}
    fn is_sent<T: Send>(_: T) {}
    let rig = Rig::new([]).await;
    let client = Arc::new(rig.client);
    is_shared(&client);
    is_sent(client.declare::<Door>());
    is_sent(client.send(&doors(1)));
    is_sent(client.query("SELECT 1").rows::<Row>());
    assert!(!format!("{client:?}").contains("secret"));
}
