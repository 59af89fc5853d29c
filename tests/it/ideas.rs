//! The examples that the idea of Fineo was first told with, end to end.

use crate::support::{ingest, instances, rows, tenant};

const NEW_MACHINE: &str = r#"{"source": "new machine", "timestamp": "January 12, 2015 10:12:15",
    "temperature": "15", "pressure": "4", "gallons": "5"}"#;

#[tokio::test]
async fn a_new_machine_is_text_at_once_and_typed_later_with_the_same_rows() {
    for instance in instances().await {
        let (fineo, acme) = (&instance.fineo, tenant("acme"));
        let schema = fineo.schema(&acme);
        schema.declare(r#"{"metric_keys": ["source"], "timestamp_formats": ["%B %d, %Y %H:%M:%S"]}"#).await.unwrap();
        ingest(fineo, &acme, NEW_MACHINE).await;

        let at = rows(fineo, &acme, r#"SELECT CAST(timestamp AS BIGINT) / 1000 FROM "new machine""#).await;
        assert_eq!(at, ["1421057535000"], "{}", instance.backend);
        let text = r#"SELECT temperature, pressure, gallons FROM "new machine""#;
        let cast = r#"SELECT CAST(temperature AS INT) + CAST(gallons AS INT) FROM "new machine""#;
        assert_eq!(rows(fineo, &acme, text).await, ["15|4|5"], "{}", instance.backend);
        assert_eq!(rows(fineo, &acme, cast).await, ["20"], "{}", instance.backend);

        let declared = r#"{"metrics": {"new machine": {"aliases": ["machine"], "fields": {
            "temperature": {"type": "int", "aliases": ["temp"]},
            "pressure": {"type": "long", "aliases": ["psi"]},
            "gallons": {"type": "int", "aliases": ["gal"]}}}}}"#;
        schema.declare(declared).await.unwrap();
        assert_eq!(rows(fineo, &acme, text).await, ["15|4|5"], "{}", instance.backend);
        assert_eq!(rows(fineo, &acme, cast).await, ["20"], "{}", instance.backend);
        assert_eq!(rows(fineo, &acme, "SELECT temp + gal, psi FROM machine").await, ["20|4"], "{}", instance.backend);
    }
}

#[tokio::test]
async fn one_name_answers_rows_stored_under_three_and_explain_shows_them() {
    for instance in instances().await {
        let (fineo, acme) = (&instance.fineo, tenant("acme"));
        ingest(
            fineo,
            &acme,
            r#"{"metrictype": "room", "timestamp": 1000, "temp": 1}
               {"metrictype": "room", "timestamp": 2000, "temperature": 2}
               {"metrictype": "room", "timestamp": 3000, "tmp": 3}"#,
        )
        .await;
        let declared =
            r#"{"metrics": {"room": {"fields": {"temp": {"type": "int", "aliases": ["temperature", "tmp"]}}}}}"#;
        fineo.schema(&acme).declare(declared).await.unwrap();

        let asked = "SELECT temp FROM room WHERE timestamp < '1970-01-01T00:00:03Z' ORDER BY timestamp";
        assert_eq!(rows(fineo, &acme, asked).await, ["1", "2"], "{}", instance.backend);
        let plan = rows(fineo, &acme, &format!("EXPLAIN {asked}")).await.join("\n");
        for shown in ["temp", "temperature", "tmp", "acme", "1970-01-01T00:00:03Z"] {
            assert!(plan.contains(shown), "{}: {shown} is not in {plan}", instance.backend);
        }
    }
}

#[tokio::test]
async fn twenty_equal_doors_without_a_time_are_twenty_rows() {
    for instance in instances().await {
        let (fineo, acme) = (&instance.fineo, tenant("acme"));
        fineo.schema(&acme).declare(r#"{"missing_timestamp": "arrival"}"#).await.unwrap();
        ingest(fineo, &acme, "{\"metrictype\":\"door\",\"open\":1}\n".repeat(20)).await;
        assert_eq!(rows(fineo, &acme, "SELECT count(*), min(open) FROM door").await, ["20|1"], "{}", instance.backend);
    }
}

#[tokio::test]
async fn a_time_key_that_did_not_give_the_time_is_readable_under_its_own_name() {
    for instance in instances().await {
        let (fineo, acme) = (&instance.fineo, tenant("acme"));
        fineo.schema(&acme).declare(r#"{"metrics":{"m":{"timestamp":{"aliases":["at","when"]}}}}"#).await.unwrap();
        ingest(
            fineo,
            &acme,
            r#"{"metrictype":"m","at":1,"timestamp":"soon","when":"x"} {"metrictype":"m","timestamp":2}
               {"metrictype":"m","when":3,"timestamp":4}"#,
        )
        .await;
        let asked = "SELECT _fineo_sent_timestamp, \"when\", CAST(timestamp AS BIGINT) AS at FROM m ORDER BY at";
        let answer = ["soon|x|1000", "||2000", "4||3000"];
        assert_eq!(rows(fineo, &acme, asked).await, answer, "{}", instance.backend);
        let all = ["1970-01-01T00:00:00.001Z|x", "1970-01-01T00:00:00.002Z|", "1970-01-01T00:00:00.003Z|"];
        assert_eq!(rows(fineo, &acme, "SELECT * FROM m ORDER BY timestamp").await, all, "{}", instance.backend);
        let sent = "SELECT count(*) FROM m WHERE _fineo_sent_timestamp = 'soon'";
        assert_eq!(rows(fineo, &acme, sent).await, ["1"], "{}", instance.backend);
    }
}

// I3: the identity that the original computed made one event of these two.
#[tokio::test]
async fn shifting_digits_between_values_makes_another_event() {
    for instance in instances().await {
        let (fineo, acme) = (&instance.fineo, tenant("acme"));
        ingest(
            fineo,
            &acme,
            r#"{"metrictype":"m","timestamp":5,"a":1,"b":23} {"metrictype":"m","timestamp":5,"a":12,"b":3}"#,
        )
        .await;
        let answer = rows(fineo, &acme, "SELECT a, b FROM m ORDER BY a").await;
        assert_eq!(answer, ["1|23", "12|3"], "{}", instance.backend);
    }
}
