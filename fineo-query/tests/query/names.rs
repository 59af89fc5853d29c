//! What names mean: semantics 4.2, 4.3, 4.5.

use fineo_schema::{Change, SeenNames};

use crate::desk::{Cell, Desk, field};

/// Thermostats that call one thing by four names.
async fn thermostats() -> Desk {
    let mut desk = Desk::new();
    desk.rows(
        "acme",
        "thermostat",
        &[
            &[("dev", "a"), ("temp", "20.5"), ("gps.lat", "1"), ("note", "x")],
            &[("dev", "b"), ("t", "21"), ("temperature", "99")],
            &[("dev", "a"), ("T2", "22.5"), ("PM2.5", "7")],
            &[("dev", "c"), ("temp", "warm"), ("t", "30")],
        ],
    )
    .await;
    let create = Change::CreateMetric { name: "thermostat".to_owned(), aliases: vec!["therm".to_owned()] };
    let temp = field("thermostat", "temp", "double", &["t", "T2", "temperature"]);
    desk.apply("acme", vec![create, field("thermostat", "device", "string", &["dev"]), temp]).await;
    desk
}

#[tokio::test]
async fn star_shows_time_then_declared_then_undeclared_each_once() {
    let desk = thermostats().await;
    desk.check(
        "SELECT * FROM thermostat ORDER BY timestamp LIMIT 2",
        &[
            "timestamp|device|temp|gps.lat|note|PM2.5",
            "2026-01-01T00:00:00Z|a|20.5|1|x|-",
            "2026-01-01T00:00:01Z|b|21.0|-|-|-",
        ],
    )
    .await;
}

#[tokio::test]
async fn the_first_name_with_a_value_answers_and_an_unfit_one_is_null() {
    // Q34
    let desk = thermostats().await;
    desk.check("SELECT temp FROM thermostat ORDER BY timestamp", &["temp", "20.5", "21.0", "22.5", "-"]).await;
}

#[tokio::test]
async fn any_name_works_anywhere_and_names_the_result() {
    let desk = thermostats().await;
    for (sql, expected) in [
        ("SELECT temperature, T2, TEMP FROM thermostat WHERE t > 21.5", vec!["temperature|T2|TEMP", "22.5|22.5|22.5"]),
        ("SELECT t.dev FROM therm t WHERE t.temperature = 21", vec!["dev", "b"]),
        ("SELECT thermostat.dev FROM thermostat WHERE THERMOSTAT.T = 21", vec!["dev", "b"]),
        ("SELECT therm.device FROM therm WHERE t = 21", vec!["device", "b"]),
        (
            "SELECT dev, max(t) AS m FROM thermostat GROUP BY dev HAVING max(temp) > 0 ORDER BY dev",
            vec!["dev|m", "a|22.5", "b|21.0"],
        ),
        ("SELECT Dev, count(*) AS n FROM thermostat GROUP BY 1 ORDER BY N DESC, 1", vec!["Dev|n", "a|2", "b|1", "c|1"]),
        (
            "WITH x AS (SELECT dev, T FROM thermostat) SELECT X.DEV, t FROM x WHERE T IS NOT NULL ORDER BY t",
            vec!["DEV|t", "a|20.5", "b|21.0", "a|22.5"],
        ),
        (
            "SELECT a.dev FROM thermostat a JOIN thermostat b USING (dev) WHERE a.temp = 20.5 AND b.t = 22.5",
            vec!["dev", "a"],
        ),
        (
            "SELECT dev FROM thermostat o WHERE EXISTS (SELECT 1 FROM thermostat i WHERE i.device = o.dev AND i.T2 > 22) \
             ORDER BY timestamp",
            vec!["dev", "a", "a"],
        ),
        (
            "SELECT dev, row_number() OVER (PARTITION BY device ORDER BY Timestamp DESC) AS r FROM thermostat \
             ORDER BY dev, r",
            vec!["dev|r", "a|1", "a|2", "b|1", "c|1"],
        ),
        ("SELECT gps.lat FROM thermostat WHERE note = 'x'", vec!["gps.lat", "1"]),
        ("SELECT s.gps.lat FROM thermostat s WHERE s.note = 'x'", vec!["gps.lat", "1"]),
        ("SELECT \"PM2.5\" FROM thermostat WHERE \"PM2.5\" IS NOT NULL", vec!["PM2.5", "7"]),
        ("SELECT DISTINCT dev FROM thermostat ORDER BY dev LIMIT 1", vec!["dev", "a"]),
        ("SELECT dev FROM fineo.public.thermostat WHERE t = 21", vec!["dev", "b"]),
        ("SELECT DEV FROM PUBLIC.Thermostat WHERE t = 21", vec!["DEV", "b"]),
    ] {
        desk.check(sql, &expected).await;
    }
}

#[tokio::test]
async fn a_name_in_another_case_is_told_as_it_is_spelled() {
    let desk = thermostats().await;
    for (sql, spelled) in [
        ("SELECT \"DEVICE\" FROM thermostat", "device"),
        ("SELECT \"t2\" FROM thermostat", "T2"),
        ("SELECT \"pm2.5\" FROM thermostat", "PM2.5"),
    ] {
        let message = desk.refuses(sql, "unknown_column").await;
        assert!(message.contains(&format!("hint=did you mean {spelled}?")), "{message}");
    }
}

#[tokio::test]
async fn result_columns_that_the_planner_would_give_one_name_are_told_apart() {
    let desk = thermostats().await;
    for (select, expected) in [
        ("note, note", ["note|note_2", "x|x"]),
        ("note, t.note, note AS note_2", ["note|note_3|note_2", "x|x|x"]),
        ("CAST(note AS VARCHAR), note", ["CAST(note AS VARCHAR)|note", "x|x"]),
        ("count(*), count(*)", ["count(*)|count(*)_2", "1|1"]),
        ("count(TRY_CAST(note AS INT)) AS n, count(note)", ["n|count(note)", "0|1"]),
        (
            "max(CAST(note AS VARCHAR)), max(note), max(TRY_CAST(note AS INT)), count(TRY_CAST(note AS INT) + 1) AS n",
            ["max(CAST(note AS VARCHAR))|max(note)|max(TRY_CAST(note AS INT))|n", "x|x|-|0"],
        ),
        (
            "length(note) + 1, length(note) + 1 AS n, length(note) + 1",
            ["length(note) + 1|n|length(note) + 1_2", "2|2|2"],
        ),
    ] {
        desk.check(&format!("SELECT {select} FROM thermostat t WHERE note = 'x'"), &expected).await;
    }
    let sorted = "SELECT CAST(note AS VARCHAR) FROM thermostat WHERE note = 'x' ORDER BY note";
    desk.check(sorted, &["CAST(note AS VARCHAR)", "x"]).await;
    let shown = desk.try_ask("acme", "SELECT *, note FROM thermostat WHERE note = 'x'", &[]).await.unwrap();
    assert!(shown.starts_with("timestamp|device|temp|gps.lat|note|PM2.5|note_2\n"), "{shown}");
}

#[tokio::test]
async fn star_does_not_show_what_only_the_statement_asks_for() {
    let desk = thermostats().await;
    for sql in [
        "SELECT * FROM thermostat WHERE T2 = 22.5",
        "SELECT t.* FROM thermostat t WHERE t.T2 = 22.5 ORDER BY _fineo_event_id",
        "WITH therm AS (SELECT * FROM thermostat ORDER BY T2) SELECT * FROM therm WHERE temp = 22.5",
    ] {
        desk.check(sql, &["timestamp|device|temp|gps.lat|note|PM2.5", "2026-01-01T00:00:02Z|a|22.5|-|-|7"]).await;
    }
    desk.check(
        "SELECT * EXCEPT (note, \"PM2.5\") FROM thermostat WHERE T2 = 22.5",
        &["timestamp|device|temp|gps.lat", "2026-01-01T00:00:02Z|a|22.5|-"],
    )
    .await;
    desk.check(
        "SELECT * FROM thermostat a JOIN thermostat b USING (timestamp, device) WHERE a.T2 = 22.5",
        &[
            "timestamp|device|temp|gps.lat|note|PM2.5|temp|gps.lat|note|PM2.5",
            "2026-01-01T00:00:02Z|a|22.5|-|-|7|22.5|-|-|7",
        ],
    )
    .await;
    desk.check(
        "SELECT count(*) AS n FROM thermostat a NATURAL JOIN (SELECT device FROM thermostat WHERE dev = 'b') b",
        &["n", "1"],
    )
    .await;
}

#[tokio::test]
async fn hidden_columns_are_there_by_name() {
    let desk = thermostats().await;
    desk.check(
        "SELECT _fineo_event_id, _fineo_alias, _fineo_ingested_at FROM thermostat WHERE t = 21",
        &[
            "_fineo_event_id|_fineo_alias|_fineo_ingested_at",
            "00000000000000020000000000000000|thermostat|2026-01-01T00:00:00Z",
        ],
    )
    .await;
}

#[tokio::test]
async fn unknown_and_ambiguous_names_say_what_is_near() {
    let mut desk = thermostats().await;
    let message = desk.refuses("SELECT tempp FROM thermostat", "unknown_column").await;
    assert!(message.contains("temp"), "{message}");
    assert!(message.contains("line 1, column 8"), "{message}");
    let message = desk.refuses("SELECT 1 FROM thermostatt", "unknown_table").await;
    assert!(message.contains("thermostat"), "{message}");
    desk.refuses("SELECT \"Temp\" FROM thermostat", "unknown_column").await;
    desk.rows("acme", "thermostat", &[&[("Volt", "1")], &[("VOLT", "2")]]).await;
    let message = desk.refuses("SELECT volt FROM thermostat", "ambiguous_column").await;
    assert!(message.contains("Volt") && message.contains("VOLT"), "{message}");
    desk.check("SELECT \"VOLT\" FROM thermostat WHERE VOLT IS NOT NULL", &["VOLT", "2"]).await;
}

#[tokio::test]
async fn hiding_renaming_and_undeclaring_take_effect_at_once() {
    let mut desk = thermostats().await;
    let (metric, temp) = ("thermostat".to_owned(), "temp".to_owned());
    let rename = Change::RenameField { metric: metric.clone(), field: temp.clone(), to: "celsius".to_owned() };
    desk.apply("acme", vec![rename]).await;
    desk.check("SELECT celsius, temp FROM thermostat WHERE T2 = 22.5", &["celsius|temp", "22.5|22.5"]).await;
    desk.apply("acme", vec![Change::HideField { metric: metric.clone(), field: temp.clone() }]).await;
    desk.refuses("SELECT temp FROM thermostat", "unknown_column").await;
    desk.refuses("SELECT T2 FROM thermostat", "unknown_column").await;
    desk.apply("acme", vec![Change::UnhideField { metric: metric.clone(), field: temp.clone() }]).await;
    desk.apply("acme", vec![Change::UndeclareField { metric, field: temp }]).await;
    desk.check("SELECT t FROM thermostat WHERE dev = 'b'", &["t", "21"]).await;
}

#[tokio::test]
async fn merged_metrics_answer_as_one() {
    let mut desk = thermostats().await;
    desk.rows("acme", "thermostat2", &[&[("dev", "z"), ("temp", "5")]]).await;
    desk.apply("acme", vec![Change::MergeMetric { from: "thermostat2".to_owned(), into: "thermostat".to_owned() }])
        .await;
    desk.check(
        "SELECT dev, temp, _fineo_alias FROM thermostat2 WHERE temp < 10",
        &["dev|temp|_fineo_alias", "z|5.0|thermostat2"],
    )
    .await;
    desk.check("SELECT count(*) AS n FROM thermostat", &["n", "5"]).await;
}

#[tokio::test]
async fn a_quoted_name_is_the_column_of_that_name_and_not_a_result_that_differs_in_case() {
    let mut desk = Desk::new();
    let rows: [&[Cell]; 2] = [&[("V", "1"), ("u", "9")], &[("V", "2"), ("u", "5")]];
    desk.rows("acme", "m", &rows).await;
    desk.check(r#"SELECT u AS v FROM m ORDER BY "V""#, &["v", "9", "5"]).await;
    desk.check(r#"SELECT u AS v FROM m ORDER BY v"#, &["v", "5", "9"]).await;
    desk.check(r#"SELECT DISTINCT ON ("V") u AS v FROM m ORDER BY "V""#, &["v", "9", "5"]).await;
    desk.check(r#"SELECT V AS w, u AS v FROM m ORDER BY "V" DESC"#, &["w|v", "2|5", "1|9"]).await;
    // Where nothing else has the name, it is the result.
    desk.check(r#"SELECT V FROM (SELECT "V" AS v FROM m) AS t ORDER BY V"#, &["V", "1", "2"]).await;
}

#[tokio::test]
async fn a_result_whose_name_comes_again_has_a_number() {
    let mut desk = Desk::new();
    let rows: [&[Cell]; 1] = [&[("v", "1"), ("u", "2")]];
    desk.rows("acme", "m", &rows).await;
    desk.check("SELECT v a, u a, v a FROM m", &["a|a_2|a_3", "1|2|1"]).await;
    desk.check("SELECT v a, u a_2, u a FROM m", &["a|a_2|a_3", "1|2|2"]).await;
    let time = "2026-01-01T00:00:00Z";
    let twice = format!("{time}|1|2|{time}|1|2");
    desk.check("SELECT *, * FROM m", &["timestamp|v|u|timestamp_2|v_2|u_2", &twice]).await;
    desk.check("SELECT m.*, * FROM m", &["timestamp|v|u|timestamp_2|v_2|u_2", &twice]).await;
}

// S11
#[tokio::test]
async fn a_hidden_or_ruled_out_field_stays_so_where_more_names_were_sent_than_are_known() {
    let mut desk = Desk::new();
    let names: Vec<Cell> = (0..SeenNames::NAMES_MAX).map(|number| (&*format!("n{number}").leak(), "1")).collect();
    desk.rows("acme", "m", &[&[("secret", "kept"), ("bad", "kept")], &names, &[("beyond", "2")]]).await;
    let metric = "m".to_owned();
    desk.apply(
        "acme",
        vec![
            field("m", "secret", "string", &["alias"]),
            Change::HideField { metric: metric.clone(), field: "secret".to_owned() },
            Change::RuleOutField { metric, field: "bad".to_owned() },
        ],
    )
    .await;
    desk.check("SELECT beyond FROM m WHERE beyond IS NOT NULL", &["beyond", "2"]).await;
    for name in ["secret", "alias", "bad", "\"secret\""] {
        desk.refuses(&format!("SELECT {name} FROM m"), "unknown_column").await;
    }
}
