//! Events in, SQL out, on AWS: Kinesis, DynamoDB and S3, or emulators of them.
//!
//! ```sh
//! scripts/services start && . target/services/env     # or an account: AWS_PROFILE, AWS_REGION
//! cargo run --features aws --example aws_pipeline
//! ```
//!
//! Everything that it makes bears the prefix of `FINEO_AWS_PREFIX` (`fineo-example` without), and is deleted at the end.

use fineo::{
    Fineo, TenantId,
    aws::{Aws, AwsOptions},
};

#[tokio::main]
async fn main() -> fineo::Result<()> {
    let prefix = std::env::var("FINEO_AWS_PREFIX").unwrap_or_else(|_| "fineo-example".to_owned());
    let mut options = AwsOptions::new(prefix).with_shards(Some(2));
    if let Ok(bucket) = std::env::var("FINEO_AWS_BUCKET") {
        options = options.with_bucket(bucket);
    }
    let fineo = Fineo::aws(options.clone()).open().await?;
    let acme = TenantId::new("acme")?;

    // Two devices, two words for one thing, nothing declared.
    let events = r#"[{"metrictype":"thermostat","timestamp":1700000000000,"temp":21.5,"room":"attic"},
                     {"metrictype":"thermostat","timestamp":1700000060000,"temperature":19,"room":"cellar"}]"#;
    let receipt = fineo.ingest(&acme, events).await?;
    fineo.wait_until_queryable(&receipt).await?;
    let all = "SELECT * FROM thermostat ORDER BY timestamp";
    println!("as sent:\n{}", fineo.sql(&acme, all).await?.to_csv().await?);

    // Declared late: one field, two names. Nothing that is stored changes.
    let declared =
        r#"{"metrics":{"thermostat":{"fields":{"celsius":{"type":"double","aliases":["temp","temperature"]}}}}}"#;
    fineo.schema(&acme).declare(declared).await?;
    let late = "SELECT room, celsius FROM thermostat ORDER BY timestamp";
    let answer = fineo.sql(&acme, late).await?.to_csv().await?;
    println!("as meant:\n{answer}");
    assert_eq!(answer, "room,celsius\nattic,21.5\ncellar,19.0\n");

    println!("{}", fineo.capabilities());
    fineo.close().await?;
    Aws::connect(options).await?.delete_everything().await
}
