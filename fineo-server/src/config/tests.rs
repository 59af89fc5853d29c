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
        ("[http]\naddress = 'localhost'", "address"),
        ("[limits]\nconnections_max = 0", "limits.connections_max"),
        ("[limits]\nquery_seconds_max = 0", "limits.query_seconds_max"),
        ("[limits]\nhello_seconds_max = 9223372036854775807", "limits.hello_seconds_max"),
        ("[limits]\nstall_seconds_max = 1000000001", "limits.stall_seconds_max"),
        ("[limits]\ndrain_seconds_max = 9223372036854775807", "limits.drain_seconds_max"),
        ("[compaction]\nevery_seconds = 9223372036854775807", "compaction.every_seconds"),
        ("[notify]\ntenant_url = 'ftp://x'", "notify.tenant_url=ftp://x"),
        ("[notify]\noperator_url = 'x'", "http:// or https://"),
        ("[notify]\nbearer_token = \"a\\nb\"", "notify.bearer_token has a character"),
    ] {
        let error = Config::parse(text).unwrap_err().to_string();
        assert!(error.contains(hint), "{error}");
    }
}
