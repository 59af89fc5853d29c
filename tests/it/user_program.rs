//! One program of a user, unchanged on every backend.

use fineo::Fineo;

use crate::support::{ingest, instances, instances_everywhere, rows, tenant};

/// Knows nothing of what it runs on.
async fn program(fineo: &Fineo) -> Vec<Vec<String>> {
    let acme = tenant("acme");
    ingest(
        fineo,
        &acme,
        r#"[{"metrictype":"pump","timestamp":1000,"press":"4","site":"north"},
            {"metrictype":"pump","timestamp":2000,"psi":5.5,"site":"south"},
            {"metrictype":"pump","timestamp":3000,"psi":"warm","site":"north"},
            {"metrictype":"pump","timestamp":"soon","psi":1}]"#,
    )
    .await;
    let before = rows(fineo, &acme, "SELECT press, psi FROM pump ORDER BY timestamp").await;
    let declared = r#"{"metrics":{"pump":{"fields":{"pressure":{"type":"double","aliases":["press","psi"]}}}}}"#;
    fineo.schema(&acme).declare(declared).await.unwrap();
    vec![
        before,
        rows(fineo, &acme, "SELECT pressure, site FROM pump ORDER BY timestamp").await,
        rows(fineo, &acme, "SELECT site, sum(psi) FROM pump GROUP BY site ORDER BY site").await,
        rows(fineo, &acme, "SELECT field, alias, count, sample FROM fineo_conflicts").await,
        rows(fineo, &acme, "SELECT stage, class, code FROM errors.stream").await,
    ]
}

#[tokio::test]
async fn a_user_program_answers_alike_on_every_backend_aws_among_them() {
    let expected = [
        vec!["4|", "|5.5", "|warm"],
        vec!["4.0|north", "5.5|south", "|north"],
        vec!["north|4.0", "south|5.5"],
        vec!["pressure|psi|1|warm"],
        vec!["raw|malformed|timestamp_unreadable"],
    ];
    for instance in instances_everywhere().await {
        assert_eq!(program(&instance.fineo).await, expected, "{}", instance.backend);
    }
}

// N12: what was acknowledged is there after a stop and a start, once.
#[tokio::test]
async fn a_local_instance_answers_the_same_after_it_was_closed_and_opened() {
    let directory = tempfile::tempdir().unwrap();
    let first = Fineo::local(directory.path()).open().await.unwrap();
    let before = program(&first).await;
    first.close().await.unwrap();
    let second = Fineo::local(directory.path()).open().await.unwrap();
    let acme = tenant("acme");
    assert_eq!(rows(&second, &acme, "SELECT pressure, site FROM pump ORDER BY timestamp").await, before[1]);
    assert_eq!(rows(&second, &acme, "SELECT stage, class, code FROM errors.stream").await, before[4]);
}

// N3, N12: a process on AWS keeps nothing of its own: the next one goes on where the streams and checkpoints are.
#[cfg(feature = "aws")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_on_aws_answers_the_same_after_it_was_closed_and_opened() {
    let Some(options) = crate::support::aws_options() else { return };
    let acme = tenant("acme");
    let first = Fineo::aws(options.clone()).open().await.unwrap();
    let before = program(&first).await;
    let receipt =
        first.ingest(&acme, r#"{"metrictype":"pump","timestamp":4000,"press":9,"site":"east"}"#).await.unwrap();
    first.close().await.unwrap();
    let second = Fineo::aws(options).open().await.unwrap();
    second.wait_until_queryable(&receipt).await.unwrap();
    let mut expected = before[1].clone();
    expected.push("9.0|east".to_owned());
    assert_eq!(rows(&second, &acme, "SELECT pressure, site FROM pump ORDER BY timestamp").await, expected);
    assert_eq!(rows(&second, &acme, "SELECT stage, class, code FROM errors.stream").await, before[4]);
    second.close().await.unwrap();
}

#[tokio::test]
async fn a_second_instance_on_a_directory_is_refused_and_the_holder_named() {
    let directory = tempfile::tempdir().unwrap();
    let first = Fineo::local(directory.path()).open().await.unwrap();
    let refusal = Fineo::local(directory.path()).open().await.unwrap_err().to_string();
    assert!(refusal.contains(&std::process::id().to_string()), "{refusal}");
    first.close().await.unwrap();
    Fineo::local(directory.path()).open().await.unwrap();
}

#[tokio::test]
async fn every_call_may_be_made_from_a_task() {
    fn is_send<F: Future + Send>(future: F) -> F {
        future
    }
    let (fineo, acme) = (Fineo::memory().open().await.unwrap(), tenant("acme"));
    let receipt = is_send(fineo.ingest(&acme, r#"{"metrictype":"m","timestamp":1}"#)).await.unwrap();
    is_send(fineo.wait_until_queryable(&receipt)).await.unwrap();
    is_send(fineo.replay(fineo::ReplayRequest::new(fineo::Stage::Raw, acme.clone()))).await.unwrap();
    is_send(fineo.schema(&acme).suggest()).await.unwrap();
    is_send(fineo.status()).await.unwrap();
    let answer =
        is_send(is_send(fineo.sql(&acme, "SELECT count(*) AS n FROM m")).await.unwrap().to_csv()).await.unwrap();
    assert_eq!(answer, "n\n1\n");
    is_send(fineo.close()).await.unwrap();
}

// I2: what a client sends again has no second error row, unless nothing but its arrival tells it from another event.
#[tokio::test]
async fn a_refused_event_that_is_sent_again_has_one_error_row_and_is_repaired_once() {
    for instance in instances().await {
        let (fineo, acme) = (&instance.fineo, tenant("acme"));
        let late = r#"{"metrictype":"m","timestamp":"14/02/2016 0:00","v":1}"#;
        let late_again = r#"{"v":1,"timestamp":"14/02/2016 0:00","metrictype":"m"}"#;
        let timeless = r#"{"metrictype":"m","v":2}"#;
        for event in [late, late_again, timeless, timeless] {
            ingest(fineo, &acme, event).await;
        }
        let errors = "SELECT code, count(*), count(repaired_at) FROM errors.stream GROUP BY code ORDER BY code";
        let before = ["timestamp_missing|2|0", "timestamp_unreadable|1|0"];
        assert_eq!(rows(fineo, &acme, errors).await, before, "{}", instance.backend);

        fineo.schema(&acme).declare(r#"{"timestamp_formats": ["%d/%m/%Y %H:%M"]}"#).await.unwrap();
        let request = fineo::ReplayRequest::new(fineo::Stage::Raw, acme.clone()).with_errors_only(true);
        fineo.replay(request).await.unwrap();
        let after = ["timestamp_missing|2|0", "timestamp_unreadable|1|1"];
        assert_eq!(rows(fineo, &acme, errors).await, after, "{}", instance.backend);
        assert_eq!(rows(fineo, &acme, "SELECT v FROM m").await, ["1"], "{}", instance.backend);
    }
}
