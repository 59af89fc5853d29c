//! A fleet whose firmware drifts: declare late, ask by any name, let Fineo suggest: `cargo run --example devices`.

use fineo::{Fineo, TenantId};

/// One event of a device whose firmware of `generation` has its own name and type for the temperature.
fn event(minute: u32, device: u32) -> String {
    let at = 1_421_057_535_000_u64 + u64::from(minute) * 60_000;
    let degrees = f64::from(15 + (minute + device) % 10);
    let temperature = match (minute + device * 7) % 60 / 20 {
        0 => format!(r#""temp": {degrees}"#),
        1 => format!(r#""temperature": "{degrees}""#),
        _ if minute % 50 == 49 => r#""tmp": "sensor fault""#.to_owned(),
        _ => format!(r#""tmp": {degrees}"#),
    };
    format!(r#"{{"metrictype": "thermostat", "timestamp": {at}, "device": "d{device}", {temperature}}}"#)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let fineo = Fineo::memory().open().await?;
    let acme = TenantId::new("acme")?;
    let events: Vec<String> = (0..120).flat_map(|minute| (0..5).map(move |device| event(minute, device))).collect();
    let receipt = fineo.ingest(&acme, events.join("\n")).await?;
    fineo.wait_until_queryable(&receipt).await?;

    // Before any schema: three columns of text.
    let before = fineo.sql(&acme, "SELECT count(temp) a, count(temperature) b, count(tmp) c FROM thermostat").await?;
    println!("three names:\n{}", before.to_csv().await?);

    // What Fineo has seen, and what it proposes.
    let schema = fineo.schema(&acme);
    for suggestion in schema.suggest().await? {
        println!("{suggestion}");
    }

    // Declare late: one field, three names. No byte of data is written.
    let plan = schema
        .declare(r#"{"metrics": {"thermostat": {"fields": {"temperature": {"type": "double", "aliases": ["temp", "tmp"]}}}}}"#)
        .await?;
    println!("\nplan:\n{plan}");

    let after =
        fineo.sql(&acme, "SELECT count(temp) AS n, min(tmp) AS low, max(temperature) AS high FROM thermostat").await?;
    let after = after.to_csv().await?;
    println!("one field:\n{after}");
    assert!(after.starts_with("n,low,high\n"));
    assert!(after.ends_with(",15.0,24.0\n"), "{after}");

    // The values that did not fit are null in the column, kept as text, and counted.
    let conflicts = fineo.sql(&acme, "SELECT alias, count, sample FROM fineo_conflicts").await?.to_csv().await?;
    println!("conflicts:\n{conflicts}");
    assert!(conflicts.contains("sensor fault"));

    // And back again.
    let change = schema.history().await?.pop().expect("a change was made").id;
    schema.undo(&change).await?;
    fineo.close().await?;
    Ok(())
}
