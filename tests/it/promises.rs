//! Promises of `docs/promises.md` that only the whole system can keep, each by its id.

use fineo::{
    Fineo, ReplayMode, ReplayRequest, Stage,
    schema::{Change, StatedConversion},
};

use crate::support::{ingest, instances, rows, tenant};

fn change(json: &str) -> Change {
    serde_json::from_str(json).unwrap()
}

// O2
#[tokio::test]
async fn answers_do_not_depend_on_the_order_of_arrival_or_of_keys() {
    let events = [
        (r#""timestamp":1000,"temp":1,"tmp":10,"T":100"#, r#""T":100,"tmp":10,"temp":1,"timestamp":1000"#),
        (r#""timestamp":2000,"T":200,"tmp":20"#, r#""tmp":20,"timestamp":2000,"T":200"#),
        (r#""timestamp":2000,"tmp":21"#, r#""tmp":21,"timestamp":2000"#),
        (r#""timestamp":3000,"T":300,"temp":"warm""#, r#""temp":"warm","T":300,"timestamp":3000"#),
        (r#""timestamp":3000,"T":301"#, r#""T":301,"timestamp":3000"#),
    ];
    let declared = r#"{"metrics":{"m":{"fields":{"temp":{"type":"int","aliases":["T","tmp"]}}}}}"#;
    let questions = [
        "SELECT timestamp, temp FROM m ORDER BY timestamp, temp",
        "SELECT temp, _fineo_event_id FROM m ORDER BY timestamp, _fineo_event_id",
        "SELECT last_value(temp ORDER BY timestamp, _fineo_event_id) FROM m",
        "SELECT alias, count, sample FROM fineo_conflicts",
    ];
    for instance in instances().await {
        let (fineo, acme) = (&instance.fineo, tenant("acme"));
        for (metric, is_backward) in [("m", false), ("m2", true)] {
            let mut bodies: Vec<String> = events
                .iter()
                .map(|(one, other)| format!(r#"{{"metrictype":"{metric}",{}}}"#, if is_backward { other } else { one }))
                .collect();
            if is_backward {
                bodies.reverse();
            }
            for body in bodies {
                ingest(fineo, &acme, body).await;
            }
        }
        fineo.schema(&acme).declare(declared).await.unwrap();
        fineo.schema(&acme).declare(&declared.replace("\"m\"", "\"m2\"")).await.unwrap();
        let plain = rows(fineo, &acme, questions[0]).await;
        let expected = [
            "1970-01-01T00:00:01Z|1",
            "1970-01-01T00:00:02Z|21",
            "1970-01-01T00:00:02Z|200",
            "1970-01-01T00:00:03Z|301",
            "1970-01-01T00:00:03Z|",
        ];
        assert_eq!(plain, expected, "{}", instance.backend);
        assert_eq!(rows(fineo, &acme, &questions[0].replace("FROM m", "FROM m2")).await, expected);
    }
    // The same events in the other order, of another instance: their ids are the same too.
    for (first, second) in instances().await.into_iter().zip(instances().await) {
        let acme = tenant("acme");
        for (one, _) in &events {
            ingest(&first.fineo, &acme, format!(r#"{{"metrictype":"m",{one}}}"#)).await;
        }
        for (_, other) in events.iter().rev() {
            ingest(&second.fineo, &acme, format!(r#"{{{other},"metrictype":"m"}}"#)).await;
        }
        for fineo in [&first.fineo, &second.fineo] {
            fineo.schema(&acme).declare(declared).await.unwrap();
        }
        for question in questions {
            let (left, right) = (rows(&first.fineo, &acme, question).await, rows(&second.fineo, &acme, question).await);
            assert_eq!(left, right, "{}: {question}", first.backend);
        }
    }
}

const TYPES: [&str; 12] = [
    "string",
    "boolean",
    "int",
    "long",
    "float",
    "double",
    "decimal(10,2)",
    "timestamp",
    "date",
    "bytes",
    "json",
    "string",
];

/// Every row's value as text: what fits, and what does not among the conflicts.
async fn texts(fineo: &Fineo, metric: &str) -> Vec<String> {
    rows(fineo, &tenant("acme"), &format!("SELECT v FROM {metric} ORDER BY timestamp")).await
}

// SC6, SC3
#[tokio::test]
async fn every_stored_event_is_readable_under_every_later_schema() {
    let sent = ["1", "warm", "true", "1.5", "9223372036854775808", "2026-01-01", "AQID", "[1,2]", ""];
    for instance in instances().await {
        let (fineo, acme) = (&instance.fineo, tenant("acme"));
        let body: String = sent
            .iter()
            .enumerate()
            .map(|(n, text)| format!("{}\n", serde_json::json!({"metrictype": "m", "timestamp": n, "v": text})))
            .collect();
        ingest(fineo, &acme, body).await;
        assert_eq!(texts(fineo, "m").await, sent, "{}", instance.backend);

        let schema = fineo.schema(&acme);
        schema.apply(vec![change(r#"{"op":"create_metric","name":"m","aliases":[]}"#)]).await.unwrap();
        let add = r#"{"op":"add_field","metric":"m","name":"v","field_type":"long","aliases":["w"],"unit":null}"#;
        schema.apply(vec![change(add)]).await.unwrap();
        for field_type in TYPES {
            let retype = format!(r#"{{"op":"retype_field","metric":"m","field":"v","field_type":"{field_type}"}}"#);
            schema.apply(vec![change(&retype)]).await.unwrap();
            let context = format!("{} {field_type}", instance.backend);
            let fit = rows(fineo, &acme, "SELECT count(*) - count(v) FROM m").await[0].parse::<u64>().unwrap();
            let unfit = rows(fineo, &acme, "SELECT coalesce(sum(count), 0) FROM fineo_conflicts").await;
            assert_eq!(unfit[0].parse::<u64>().unwrap(), fit, "{context}: null is a conflict and nothing else is");
            assert_eq!(rows(fineo, &acme, "SELECT count(*) FROM m").await, ["9"], "{context}");
            // What arrives under this schema is readable under all the others, too.
            ingest(fineo, &acme, r#"{"metrictype":"m","timestamp":0,"v":"1"}"#).await;
        }
        assert_eq!(texts(fineo, "m").await, sent, "{}", instance.backend);

        let fahrenheit = StatedConversion { offset: 1.0, ..StatedConversion::default() };
        let (metric, field) = ("m".to_owned(), "v".to_owned());
        let convert = Change::AddConversion { metric: metric.clone(), field: field.clone(), conversion: fahrenheit };
        let steps = [
            change(r#"{"op":"retype_field","metric":"m","field":"v","field_type":"double"}"#),
            convert,
            change(r#"{"op":"rename_field","metric":"m","field":"v","to":"value"}"#),
            change(r#"{"op":"rename_metric","metric":"m","to":"meter"}"#),
            change(r#"{"op":"hide_field","metric":"meter","field":"value"}"#),
            change(r#"{"op":"unhide_field","metric":"meter","field":"value"}"#),
        ];
        for step in steps {
            schema.apply(vec![step.clone()]).await.unwrap();
            assert_eq!(rows(fineo, &acme, "SELECT count(*) FROM m").await, ["9"], "{}: {step:?}", instance.backend);
        }
        assert_eq!(texts(fineo, "m").await[..2], ["2.0", ""], "{}", instance.backend);
        for step in [
            change(r#"{"op":"undeclare_field","metric":"m","field":"v"}"#),
            change(r#"{"op":"undeclare_metric","metric":"meter"}"#),
        ] {
            schema.apply(vec![step]).await.unwrap();
            assert_eq!(texts(fineo, "m").await, sent, "{}: text again", instance.backend);
        }
    }
}

// R3, I2, U6
#[tokio::test]
async fn a_replay_of_either_stage_in_either_mode_changes_no_answer() {
    for instance in instances().await {
        let (fineo, acme) = (&instance.fineo, tenant("acme"));
        for n in 0..20 {
            let body =
                format!(r#"{{"metrictype":"m{}","timestamp":{n},"v":{n},"w":"x"}} {{"metrictype":"m0","v":1}}"#, n % 3);
            ingest(fineo, &acme, body).await;
        }
        let declared = r#"{"metrics":{"m0":{"fields":{"v":{"type":"int","aliases":["vv"]}}}}}"#;
        fineo.schema(&acme).declare(declared).await.unwrap();
        let merge = change(r#"{"op":"merge_metric","from":"m2","into":"m0"}"#);
        fineo.schema(&acme).apply(vec![merge]).await.unwrap();
        let questions = [
            "SELECT timestamp, v, w, _fineo_event_id FROM m0 ORDER BY 1, 4",
            "SELECT timestamp, v, w, _fineo_event_id FROM m1 ORDER BY 1, 4",
            "SELECT code, message, raw, received_at, repaired_at FROM errors.stream ORDER BY received_at",
        ];
        let mut before = Vec::new();
        for question in questions {
            before.push(rows(fineo, &acme, question).await);
        }
        assert_eq!((before[0].len(), before[2].len()), (13, 20), "{}", instance.backend);
        for stage in Stage::ALL {
            for mode in [ReplayMode::AsRecorded, ReplayMode::ReDerive] {
                let request = ReplayRequest::new(stage, acme.clone()).with_mode(mode);
                let report = fineo.replay(request).await.unwrap();
                assert_eq!((report.rows, report.repaired), (0, 0), "{} {stage} {mode:?}", instance.backend);
                for (question, before) in questions.iter().zip(&before) {
                    assert_eq!(rows(fineo, &acme, question).await, *before, "{} {stage} {mode:?}", instance.backend);
                }
            }
        }
    }
}

// U6, R3
#[tokio::test]
async fn a_replay_doubles_and_moves_no_row_that_todays_schema_reads_otherwise() {
    let set = |formats: &str| format!(r#"{{"op":"set_timestamp_formats","metric":null,"formats":[{formats}]}}"#);
    let events = [
        r#"{"metrictype":"m","timestamp":"03/04/2026","v":1}"#,
        r#"{"metrictype":"m","kind":"k","timestamp":"05/06/2026","v":2}"#,
        r#"{"metrictype":"k","timestamp":"05/06/2026","at":"2026-01-01","v":3}"#,
        r#"{"metrictype":"m","timestamp":"10-11-12","v":4}"#,
    ];
    let question = "SELECT 'm', timestamp, v FROM m UNION ALL SELECT 'k', timestamp, v FROM k ORDER BY v";
    let merged = "SELECT _fineo_alias, timestamp, v FROM k ORDER BY v";
    let changes = [
        (vec![], question, 0),
        // Other times, and now the fourth one is read, too: that makes a row of it.
        (vec![set(r#""%m/%d/%Y", "%y-%m-%d""#)], question, 1),
        (vec![set(r#""%m/%d/%Y", "%d-%m-%y""#)], question, 0),
        (vec![r#"{"op":"set_metric_keys","keys":["kind","metrictype"]}"#.to_owned()], question, 0),
        (vec![r#"{"op":"set_timestamp_aliases","metric":"k","aliases":["at"]}"#.to_owned()], question, 0),
        (vec![r#"{"op":"set_identity","metric":"k","identity":"arrival"}"#.to_owned()], question, 0),
        (vec![r#"{"op":"merge_metric","from":"m","into":"k"}"#.to_owned()], merged, 0),
    ];
    for in_files in [false, true] {
        for mut instance in instances().await {
            let acme = tenant("acme");
            instance.fineo.schema(&acme).apply(vec![change(&set(r#""%d/%m/%Y""#))]).await.unwrap();
            for event in events {
                ingest(&instance.fineo, &acme, event.to_owned()).await;
            }
            let mut expected = vec!["m|2026-04-03T00:00:00Z|1", "m|2026-06-05T00:00:00Z|2", "k|2026-06-05T00:00:00Z|3"];
            for (round, (ops, question, new_rows)) in changes.iter().enumerate() {
                if in_files {
                    instance = instance.compacted(&acme).await;
                }
                if !ops.is_empty() {
                    let ops = ops.iter().map(|op| change(op)).collect();
                    instance.fineo.schema(&acme).apply(ops).await.unwrap();
                }
                expected.extend((*new_rows > 0).then_some("m|2010-11-12T00:00:00Z|4"));
                for (again, mode) in [ReplayMode::ReDerive, ReplayMode::AsRecorded].into_iter().enumerate() {
                    let request = ReplayRequest::new(Stage::Raw, acme.clone()).with_mode(mode);
                    let report = instance.fineo.replay(request).await.unwrap();
                    let told = format!("{} {in_files} {round} {mode:?}: {report:?}", instance.backend);
                    if !in_files {
                        // Rows that came back out of the stream beside those in files are left out by queries.
                        assert_eq!(report.rows, if again == 0 { *new_rows } else { 0 }, "{told}");
                    }
                    assert_eq!(rows(&instance.fineo, &acme, question).await, expected, "{told}");
                }
            }
        }
    }
}

// I5, R3
#[tokio::test]
async fn a_repair_brings_an_event_whose_key_another_one_has() {
    for instance in instances().await {
        let (fineo, acme) = (&instance.fineo, tenant("acme"));
        let by_key = change(r#"{"op":"set_identity","metric":null,"identity":"key"}"#);
        fineo.schema(&acme).apply(vec![by_key]).await.unwrap();
        for event in [
            r#"{"metrictype":"k","timestamp":1000,"event_id":"1","v":1}"#,
            r#"{"metrictype":"m","timestamp":"03/04/2026","event_id":"1","v":2}"#,
        ] {
            ingest(fineo, &acme, event.to_owned()).await;
        }
        let formats = change(r#"{"op":"set_timestamp_formats","metric":null,"formats":["%d/%m/%Y"]}"#);
        fineo.schema(&acme).apply(vec![formats]).await.unwrap();
        let request = ReplayRequest::new(Stage::Raw, acme.clone()).with_errors_only(true);
        let report = fineo.replay(request).await.unwrap();
        assert_eq!((report.rows, report.repaired), (1, 1), "{}: {report:?}", instance.backend);
        let found = rows(fineo, &acme, "SELECT v FROM k UNION ALL SELECT v FROM m ORDER BY v").await;
        assert_eq!(found, ["1", "2"], "{}", instance.backend);
    }
}

// I1, R3: events that go by their arrival are as many as came, however equal they are.
#[tokio::test]
async fn a_repair_brings_equal_events_without_a_time_as_often_as_they_came() {
    for instance in instances().await {
        let (fineo, acme) = (&instance.fineo, tenant("acme"));
        ingest(fineo, &acme, r#"{"metrictype":"m","v":1}"#.repeat(3)).await;
        fineo.schema(&acme).declare(r#"{"missing_timestamp": "arrival"}"#).await.unwrap();
        for repaired in [3, 0] {
            let request = ReplayRequest::new(Stage::Raw, acme.clone()).with_errors_only(true);
            let report = fineo.replay(request).await.unwrap();
            assert_eq!(report.repaired, repaired, "{}: {report:?}", instance.backend);
            assert_eq!(rows(fineo, &acme, "SELECT count(*) FROM m").await, ["3"], "{}", instance.backend);
        }
    }
}

// I5
#[tokio::test]
async fn one_key_under_two_names_of_a_metric_is_one_event() {
    for instance in instances().await {
        let (fineo, acme) = (&instance.fineo, tenant("acme"));
        fineo
            .schema(&acme)
            .apply(vec![change(r#"{"op":"set_identity","metric":null,"identity":"key"}"#)])
            .await
            .unwrap();
        for metric in ["m0", "m1"] {
            ingest(fineo, &acme, format!(r#"{{"metrictype":"{metric}","timestamp":1,"event_id":"{metric}"}}"#)).await;
        }
        let merge = change(r#"{"op":"merge_metric","from":"m1","into":"m0"}"#);
        fineo.schema(&acme).apply(vec![merge]).await.unwrap();
        for metric in ["m1", "m0", "m1"] {
            ingest(fineo, &acme, format!(r#"{{"metrictype":"{metric}","timestamp":2,"event_id":"k","v":1}}"#)).await;
        }
        let counted = rows(fineo, &acme, "SELECT count(*), count(DISTINCT _fineo_event_id) FROM m0").await;
        assert_eq!(counted, ["3|3"], "{}", instance.backend);
    }
}

// D2, F1, F2
#[tokio::test]
async fn what_is_known_of_how_far_the_stages_came_includes_every_receipt_that_was_waited_for() {
    for instance in instances().await {
        let (fineo, acme) = (&instance.fineo, tenant("acme"));
        for number in 1..=3 {
            let event = format!(r#"{{"metrictype":"m","timestamp":{number},"v":{number}}}"#);
            let receipt = fineo.ingest(&acme, event).await.unwrap();
            fineo.wait_until_queryable(&receipt).await.unwrap();
            let as_of = fineo.data_as_of();
            assert!(as_of.raw.cover().includes(receipt.token()), "{}", instance.backend);
            assert_eq!(
                rows(fineo, &acme, "SELECT count(*) FROM m").await,
                [number.to_string()],
                "{}",
                instance.backend
            );
        }
    }
}
