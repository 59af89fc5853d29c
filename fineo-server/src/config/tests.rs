//! What a configuration may say, and that the documentation says it all.

use serde_json::Value;

use super::Config;

fn names(value: &Value, prefix: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(entries) => {
            for (name, inner) in entries {
                let name = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                names(inner, &name, found);
            }
        }
        _ => found.push(prefix.to_owned()),
    }
}

#[test]
fn every_setting_is_documented() {
    let page = include_str!("../../../docs/server.md");
    let mut found = Vec::new();
    names(&serde_json::to_value(Config::default()).unwrap(), "", &mut found);
    assert!(found.len() > 20);
    for name in found {
        assert!(page.contains(&format!("`{name}`")), "docs/server.md does not say what {name} is");
    }
}

#[test]
fn an_empty_file_is_the_default() {
    assert_eq!(Config::parse("").unwrap(), Config::default());
}

#[test]
fn what_has_no_meaning_is_refused_with_what_would_have() {
    for (text, hint) in [
        ("[http]\nadress = '127.0.0.1:1'", "address"),
        ("[htpp]\n", "http"),
        ("[limits]\nbody_bytes_max = 'much'", "line 2"),
        ("[tls]\ncertificate = 'a.pem'", "tls.key"),
        (
            "[http]\naddress = 'localhost'",
            "\"127.0.0.1:8080\" or \"[::1]:8080\": setting=http.address, value='localhost'",
        ),
        ("[flight]\n# here\naddress = 80", "setting=flight.address, value=80, position=line 3, column 11"),
        ("[limits]\nconnections_max = -1", "from 0 to 9223372036854775807: setting=limits.connections_max, value=-1"),
        (
            "[compaction]\narchive_retain_days = 5000000000",
            "from 0 to 4294967295: setting=compaction.archive_retain_days",
        ),
        ("[http]\nenabled = 'yes'", "setting=http.enabled, value='yes'"),
        ("[telemetry]\notlp_endpoint = 'localhost:4317'", "telemetry.otlp_endpoint=localhost:4317"),
        ("[limits]\nconnections_max = 0", "setting=limits.connections_max, value=0"),
        ("[limits]\nquery_seconds_max = 0", "limits.query_seconds_max"),
        ("[limits]\nhello_seconds_max = 9223372036854775807", "limits.hello_seconds_max"),
        ("[limits]\nstall_seconds_max = 1000000001", "limits.stall_seconds_max"),
        ("[limits]\ndrain_seconds_max = 9223372036854775807", "limits.drain_seconds_max"),
        ("[compaction]\nevery_seconds = 9223372036854775807", "compaction.every_seconds"),
        ("[notify]\ntenant_url = 'ftp://x'", "setting=notify.tenant_url"),
        ("[notify]\noperator_url = 'x'", "http:// or https://"),
        ("[notify]\nbearer_token = \"a\\nb\"", "notify.bearer_token has a character"),
    ] {
        let error = Config::parse(text).unwrap_err().to_string();
        assert!(error.contains(hint), "{error}");
    }
}

#[test]
fn no_error_shows_a_secret() {
    for text in [
        "[notify]\nbearer_token = SECRET",
        "[notify]\nbearer_token = \"SECRET",
        "[notify]\nbearer_token = 'SECRET\ntenant_url = 'http://x'",
        "[notify]\nbearer_token = ['SECRET']",
        "[notify]\nbearer_token = { SECRET = 1 }",
        "[notify]\nbearer_token: SECRET",
        "[notify]\nbearer_tokn = 'SECRET'",
        "notify.bearer_token = SECRET",
        "bearer_token = 'SECRET'",
        "[notify]\nbearer_token = \"SECRET\\n\"",
    ] {
        let error = Config::parse(text).unwrap_err();
        assert!(!format!("{error:?}").contains("SECRET"), "{error:?}");
        assert!(error.to_string().contains("notify") || error.to_string().contains("bearer_tok"), "{error}");
    }
    for inline in [
        "notify = { bearer_token = 271828 }",
        "notify = { bearer_token = [\"271828\"] }",
        "[notify]\ntenant_url = 271828",
    ] {
        let error = Config::parse(inline).unwrap_err().to_string();
        assert!(error.contains("setting=notify") && !error.contains("271828"), "{error}");
    }
    let url = Config::parse("notify.tenant_url = 'hooks.example/271828'").unwrap_err().to_string();
    assert!(url.contains("setting=notify.tenant_url") && !url.contains("271828"), "{url}");
    let number = Config::parse("[notify]\nbearer_token = 271828").unwrap_err().to_string();
    assert!(number.contains("in quotes: setting=notify.bearer_token") && !number.contains("271828"), "{number}");
}

#[test]
fn doors_that_cannot_all_be_opened_are_refused() {
    for (text, settings) in [
        ("http.address = '127.0.0.1:7000'\nflight.address = '127.0.0.1:7000'", "http.address, flight.address"),
        ("postgres.address = '0.0.0.0:8080'", "http.address, postgres.address"),
    ] {
        let error = Config::parse(text).unwrap().check_doors().unwrap_err().to_string();
        assert!(error.contains(settings), "{error}");
    }
    for text in [
        "",
        "http.address = '127.0.0.1:0'\nflight.address = '127.0.0.1:0'",
        "http.address = '127.0.0.2:5433'",
        "http.address = '[::1]:5433'",
    ] {
        Config::parse(text).unwrap().check_doors().unwrap();
    }
    // The other commands reach a server without doors through the directory's socket.
    let closed = "http.enabled = false\npostgres.enabled = false\nflight.enabled = false";
    let closed = Config::parse(closed).unwrap();
    closed.check_reachable(true).unwrap();
    assert!(closed.check_reachable(false).unwrap_err().to_string().contains("http.enabled, postgres.enabled"));
}
