//! Events in, SQL out, in memory: `cargo run --example quickstart`.

use fineo::{Fineo, TenantId};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let fineo = Fineo::memory().open().await?;
    let acme = TenantId::new("acme")?;

    // Nobody declared anything: a metric is whatever `metrictype` says, a time is epoch milliseconds or ISO 8601.
    let receipt = fineo
        .ingest(
            &acme,
            r#"{"metrictype": "thermostat", "timestamp": 1421057535000, "device": "a", "temp": 20.5}
               {"metrictype": "thermostat", "timestamp": "2015-01-12T10:13:15Z", "device": "b", "temp": "21", "room": {"floor": 2}}
               {"metrictype": "thermostat", "timestamp": "yesterday", "temp": 3}"#,
        )
        .await?;
    fineo.wait_until_queryable(&receipt).await?;

    // Undeclared fields are text, and castable.
    let answer = fineo
        .sql(&acme, r#"SELECT device, CAST(temp AS DOUBLE) AS temp, "room.floor" FROM thermostat ORDER BY device"#);
    let answer = answer.await?.to_csv().await?;
    print!("{answer}");
    assert_eq!(answer, "device,temp,room.floor\na,20.5,\nb,21.0,2\n");

    // What could not be read is kept, with the reason.
    let errors = fineo.sql(&acme, "SELECT code, raw FROM errors.stream").await?.to_csv().await?;
    print!("{errors}");
    assert!(errors.contains("timestamp_unreadable"));

    fineo.close().await?;
    Ok(())
}
