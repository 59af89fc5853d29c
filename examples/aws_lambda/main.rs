//! Events in, SQL out, with the stages on AWS Lambda: this program only sends, imports and asks.
//!
//! `examples/aws_lambda/run` deploys the functions and starts it; `README.md` beside it begins from nothing.

use fineo::{
    Fineo, TenantId,
    aws::{AwsOptions, folder},
    core::{Clock, SystemClock},
    ingest::PipelineOptions,
};
use object_store::{ObjectStoreExt, path::Path};

#[tokio::main]
async fn main() -> fineo::Result<()> {
    // The names of what was deployed come from the environment.
    let options = AwsOptions::from_environment("fineo-lambda").with_creates_missing(false);
    // The stages run elsewhere: this process leaves their shards alone.
    let door = PipelineOptions::default().with_runs_stages(false);
    let fineo = Fineo::aws(options.clone()).with_pipeline(door).open().await?;
    let acme = TenantId::new("acme")?;

    // Sent: two devices, two words for one thing, nothing declared.
    let events = r#"[{"metrictype":"thermostat","timestamp":1700000000000,"temp":21.5,"room":"attic"},
                     {"metrictype":"thermostat","timestamp":1700000060000,"temperature":19,"room":"cellar"},
                     {"metrictype":"thermostat","timestamp":"yesterday","temp":20}]"#;
    let receipt = fineo.ingest(&acme, events).await?;
    fineo.wait_until_queryable(&receipt).await?;
    let all = "SELECT * FROM thermostat ORDER BY timestamp";
    println!("as sent:\n{}", fineo.sql(&acme, all).await?.to_csv().await?);

    // Imported: whoever can write to a bucket can send.
    let inbox = folder(&format!("s3://{}/inbox/acme", options.bucket), options).await?;
    let file = "metrictype,timestamp,temp,room\nthermostat,1700000120000,17.25,garage\n";
    inbox.put(&Path::from("garage.csv"), file.into()).await.map_err(|source| {
        fineo::Error::unavailable("the object could not be put into the inbox").with_source(source)
    })?;
    println!("the file is in the inbox");
    let count = "SELECT count(*) AS rows FROM thermostat";
    while fineo.sql(&acme, count).await?.to_csv().await? != "rows\n3\n" {
        SystemClock.sleep(std::time::Duration::from_millis(500)).await;
    }

    // Declared late: one field, two names. Nothing that is stored changes.
    let declared =
        r#"{"metrics":{"thermostat":{"fields":{"celsius":{"type":"double","aliases":["temp","temperature"]}}}}}"#;
    fineo.schema(&acme).declare(declared).await?;
    let late = "SELECT room, celsius FROM thermostat ORDER BY timestamp";
    let answer = fineo.sql(&acme, late).await?.to_csv().await?;
    println!("as meant:\n{answer}");
    assert_eq!(answer, "room,celsius\nattic,21.5\ncellar,19.0\ngarage,17.25\n");

    let refused = "SELECT code, message FROM errors.stream";
    println!("refused:\n{}", fineo.sql(&acme, refused).await?.to_csv().await?);
    fineo.close().await
}
