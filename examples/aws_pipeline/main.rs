//! Events in, SQL out, on AWS or what stands for it: Kinesis, S3, DynamoDB. README.md beside this file begins with nothing.
//!
//! Everything that it makes bears the prefix of `FINEO_AWS_PREFIX` (`fineo-example` without), and is deleted at the end.

use std::time::Duration;

use fineo::{
    CompactOptions, Fineo, ImportOptions, ImportSource, Routing, TenantId,
    aws::{Aws, AwsOptions},
};

#[tokio::main]
async fn main() -> fineo::Result<()> {
    // Region, credentials and endpoints are the SDK's own affair; names come from the environment. Four shards are what
    // AWS begins with on demand.
    let options = AwsOptions::from_environment("fineo-example").with_shards(Some(4));
    let acme = TenantId::new("acme")?;

    // Two streams, two tables and a bucket are made where they are missing.
    let fineo = Fineo::aws(options.clone()).open().await?;

    // Two devices, two words for one thing, nothing declared. Once this returns, Kinesis has the events.
    let events = r#"[{"metrictype":"thermostat","timestamp":1700000000000,"temp":21.5,"room":"attic"},
                     {"metrictype":"thermostat","timestamp":1700000060000,"temperature":19,"room":"cellar"}]"#;
    let receipt = fineo.ingest(&acme, events).await?;

    // Stage raw reads them there and archives them in S3, stage staged puts rows into DynamoDB: SQL sees them.
    fineo.wait_until_queryable(&receipt).await?;
    let all = "SELECT room, temp, temperature FROM thermostat ORDER BY timestamp";
    println!("as sent:\n{}", fineo.sql(&acme, all).await?.to_csv().await?);

    // Declared late: one field, two names. Nothing that is stored changes.
    let declared =
        r#"{"metrics":{"thermostat":{"fields":{"celsius":{"type":"double","aliases":["temp","temperature"]}}}}}"#;
    fineo.schema(&acme).declare(declared).await?;
    let late = "SELECT room, celsius FROM thermostat ORDER BY timestamp";
    let recent = fineo.sql(&acme, late).await?.to_csv().await?;
    println!("as meant, from DynamoDB:\n{recent}");
    assert_eq!(recent, "room,celsius\nattic,21.5\ncellar,19.0\n");

    // Files of your own, if you named some: NDJSON, JSON or CSV, packed or not, each event with its metric and its time.
    let embedded = Fineo::memory().open().await?;
    for instance in [&fineo, &embedded] {
        import(instance, &acme).await?;
    }
    let sent = counts(&embedded, &acme).await?;
    assert_eq!(counts(&fineo, &acme).await?, sent, "the same program answers the same, whatever it runs on");

    // What is archived becomes columnar files. An archive's file ends after ten seconds, or when its writer is closed.
    fineo.close().await?;
    let fineo = Fineo::aws(options.clone()).open().await?;
    let report = fineo.compact(CompactOptions::default()).await?;
    assert!(report.failed.is_empty(), "{report:?}");
    for table in fineo.tables(&acme).await? {
        println!("compacted: {} rows of {} are at {}", table.rows, table.metric, table.location);
    }
    assert_eq!(counts(&fineo, &acme).await?, sent, "compaction changes no answer");
    let compacted = fineo.sql(&acme, late).await?.to_csv().await?;
    println!("as meant, from S3:\n{compacted}");
    assert_eq!(compacted, recent);

    println!("{}", fineo.capabilities());
    fineo.close().await?;
    Aws::connect(options).await?.delete_everything().await
}

/// Takes in the files that the command line names.
async fn import(fineo: &Fineo, tenant: &TenantId) -> fineo::Result<()> {
    for file in std::env::args_os().skip(1) {
        let options = ImportOptions::new(Routing::Tenant(tenant.clone()));
        let report = fineo.import(ImportSource::Path(file.into()), options, &|_| {}).await?;
        println!("taken in: {} events", report.accepted);
    }
    // Emulators take their time.
    fineo.pipeline().drain(Duration::from_secs(3_600)).await
}

/// How many rows the files brought in, metric by metric, and how many errors.
async fn counts(fineo: &Fineo, tenant: &TenantId) -> fineo::Result<Vec<String>> {
    let mut counts = Vec::new();
    for table in fineo.session(tenant).tables().await? {
        if table.schema != "public" || table.name.starts_with("fineo_") || table.name == "thermostat" {
            continue;
        }
        let sql = format!("SELECT count(*), min(timestamp), max(timestamp) FROM \"{}\"", table.name);
        counts.push(format!("{}: {}", table.name, fineo.sql(tenant, &sql).await?.to_csv().await?));
    }
    counts.push(fineo.sql(tenant, "SELECT count(*) FROM errors.stream").await?.to_csv().await?);
    counts.sort();
    Ok(counts)
}
