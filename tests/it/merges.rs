//! Merges and moved names of metrics, as SQL sees them.

use fineo::schema::Change;

use crate::support::{Instance, ingest, instances, rows, tenant, try_rows};

async fn change(instance: &Instance, json: &str) {
    let change: Change = serde_json::from_str(json).unwrap();
    instance.fineo.schema(&tenant("acme")).apply(vec![change]).await.unwrap();
}

async fn ask(instance: &Instance, sql: &str) -> Vec<String> {
    rows(&instance.fineo, &tenant("acme"), sql).await
}

async fn send(instance: &Instance, metric: &str, number: u32, field: &str) {
    let event = format!(r#"{{"metrictype":"{metric}","timestamp":{number},"{field}":{number}}}"#);
    ingest(&instance.fineo, &tenant("acme"), event).await;
}

// U1, U6, I4
#[tokio::test]
async fn an_event_that_is_sent_again_after_its_metrics_name_was_moved_is_no_second_row_on_any_backend() {
    let unalias = r#"{"op":"remove_metric_alias","metric":"B","alias":"p"}"#;
    let alias = r#"{"op":"add_metric_alias","metric":"B","alias":"p"}"#;
    for in_files in [false, true] {
        for mut instance in instances().await {
            change(&instance, r#"{"op":"create_metric","name":"B","aliases":["p"]}"#).await;
            send(&instance, "p", 1, "k").await;
            if in_files {
                instance = instance.compacted(&tenant("acme")).await;
            }
            change(&instance, unalias).await;
            // It stays a row of the metric that had the name when it came first.
            send(&instance, "p", 1, "k").await;
            send(&instance, "p", 2, "k").await;
            let context = format!("{}, in files: {in_files}", instance.backend);
            assert_eq!(ask(&instance, "SELECT k FROM p").await, ["2"], "{context}");
            change(&instance, alias).await;
            for number in [1, 2, 3] {
                send(&instance, "p", number, "k").await;
            }
            for is_end in [false, true] {
                if is_end && in_files {
                    instance = instance.compacted(&tenant("acme")).await;
                }
                let all = ask(&instance, r#"SELECT k FROM "B" ORDER BY k"#).await;
                let ids = ask(&instance, r#"SELECT count(DISTINCT _fineo_event_id) FROM "B""#).await;
                assert_eq!((all, ids), (["1", "2", "3"].map(str::to_owned).into(), vec!["3".to_owned()]), "{context}");
            }
        }
    }
}

#[tokio::test]
async fn a_merge_shows_no_value_that_either_metric_hides() {
    for instance in instances().await {
        for metric in ["A", "B"] {
            change(&instance, &format!(r#"{{"op":"create_metric","name":"{metric}","aliases":[]}}"#)).await;
            let field = r#""name":"secret","field_type":"string","aliases":[],"unit":null"#;
            change(&instance, &format!(r#"{{"op":"add_field","metric":"{metric}",{field}}}"#)).await;
            send(&instance, metric, 7, "secret").await;
        }
        change(&instance, r#"{"op":"hide_field","metric":"A","field":"secret"}"#).await;
        change(&instance, r#"{"op":"merge_metric","from":"A","into":"B"}"#).await;
        let (fineo, acme) = (&instance.fineo, tenant("acme"));
        for sql in [r#"SELECT secret FROM "B""#, r#"SELECT secret FROM "A""#] {
            let refused = try_rows(&fineo.session(&acme), sql).await.unwrap_err();
            assert!(format!("{refused:?}").contains("unknown_column"), "{}: {sql}: {refused:?}", instance.backend);
        }
        change(&instance, r#"{"op":"unhide_field","metric":"B","field":"secret"}"#).await;
        assert_eq!(rows(fineo, &acme, r#"SELECT secret FROM "B""#).await, ["7", "7"], "{}", instance.backend);
    }
}

#[tokio::test]
async fn values_of_both_metrics_of_a_merge_stay_in_their_units_nearline_and_in_files() {
    let twice =
        r#""conversion":{"unit":null,"scale":2.0,"offset":0.0,"name":null,"metric_name":null,"from":null,"to":null}"#;
    let add = |metric: &str, unit: &str| {
        let field = r#""name":"t","field_type":"double","aliases":[]"#;
        format!(r#"{{"op":"add_field","metric":"{metric}",{field},"unit":{unit}}}"#)
    };
    // What is declared of t in A and in B, and what 50 of A and 10 of B are before and after A is merged into B.
    let cases = [
        (vec![add("A", "null"), add("B", "null"), convert(twice)], "A|100.0 B|10.0"),
        (vec![add("A", r#""F""#), add("B", r#""C""#)], "A|10.0 B|10.0"),
        (vec![add("A", "null"), convert(twice)], "A|100.0 B|10.0"),
    ];
    for (declared, expected) in cases {
        for in_files in [false, true] {
            for mut instance in instances().await {
                for (metric, value) in [("A", 50), ("B", 10)] {
                    change(&instance, &format!(r#"{{"op":"create_metric","name":"{metric}","aliases":[]}}"#)).await;
                    send(&instance, metric, value, "t").await;
                }
                if in_files {
                    instance = instance.compacted(&tenant("acme")).await;
                }
                for json in &declared {
                    change(&instance, json).await;
                }
                change(&instance, r#"{"op":"merge_metric","from":"A","into":"B"}"#).await;
                let context = format!("{}, in files: {in_files}, {declared:?}", instance.backend);
                let all = ask(&instance, r#"SELECT _fineo_alias, round(t, 6) FROM "B" ORDER BY 1"#).await;
                assert_eq!(all.join(" "), expected, "{context}");
                let cold = ask(&instance, r#"SELECT _fineo_alias FROM "B" WHERE t < 10.5 ORDER BY 1"#).await;
                let is_cold = |part: &&str| part.ends_with("|10.0");
                let wanted: Vec<&str> = expected.split(' ').filter(is_cold).map(|part| &part[..1]).collect();
                assert_eq!(cold, wanted, "{context}");
            }
        }
    }
}

fn convert(conversion: &str) -> String {
    format!(r#"{{"op":"add_conversion","metric":"A","field":"t",{conversion}}}"#)
}
