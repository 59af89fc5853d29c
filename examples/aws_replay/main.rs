//! Events that could not be read come back after a schema fix, out of the archive in S3, exactly once. README.md beside this
//! file begins with nothing.
//!
//! Everything that it makes bears the prefix of `FINEO_AWS_PREFIX` (`fineo-replay` without), and is deleted at the end.

use fineo::{
    Fineo, ReplayRequest, Stage, TenantId,
    aws::{Aws, AwsOptions},
};

#[tokio::main]
async fn main() -> fineo::Result<()> {
    // Region, credentials and endpoints are the SDK's own affair; names come from the environment.
    let options = AwsOptions::from_environment("fineo-replay").with_shards(Some(2));
    let acme = TenantId::new("acme")?;
    let fineo = Fineo::aws(options.clone()).open().await?;

    // Nobody has said yet that these meters put the day first, or that all of `kwh` are whole numbers.
    let events = r#"{"metrictype": "meter", "timestamp": "14/02/2016 0:00", "kwh": 50}
                    {"metrictype": "meter", "timestamp": "14/02/2016 0:10", "kwh": "51"}
                    {"metrictype": "meter", "timestamp": "2016-02-14T00:20:00Z", "kwh": 52}"#;
    let receipt = fineo.ingest(&acme, events).await?;
    fineo.wait_until_queryable(&receipt).await?;
    let by_code = "SELECT code, count(*) AS n FROM errors.stream WHERE repaired_at IS NULL GROUP BY code";
    let errors = ask(&fineo, &acme, "rejected", by_code).await?;
    assert_eq!(errors, "code,n\ntimestamp_unreadable,2\n");

    // The tenant says how its meters write time, and what they count. Rows that are there already are typed at once.
    let late =
        r#"{"timestamp_formats": ["%d/%m/%Y %H:%M"], "metrics": {"meter": {"fields": {"kwh": {"type": "int"}}}}}"#;
    fineo.schema(&acme).declare(late).await?;

    // The archive in S3 has every event as it was sent: those with an open error pass stage raw again.
    let report = fineo.replay(ReplayRequest::new(Stage::Raw, acme.clone()).with_errors_only(true)).await?;
    println!("{report:?}\n");
    assert_eq!(ask(&fineo, &acme, "still rejected", by_code).await?, "code,n\n");
    let total = "SELECT count(*) AS n, sum(kwh) AS kwh FROM meter";
    assert_eq!(ask(&fineo, &acme, "repaired", total).await?, "n,kwh\n3,153\n");

    // Everything once more, out of the archive: what is known makes no second row.
    fineo.replay(ReplayRequest::new(Stage::Raw, acme.clone())).await?;
    fineo.wait_until_drained().await?;
    assert_eq!(ask(&fineo, &acme, "replayed twice", total).await?, "n,kwh\n3,153\n");

    fineo.close().await?;
    Aws::connect(options).await?.delete_everything().await
}

async fn ask(fineo: &Fineo, tenant: &TenantId, what: &str, sql: &str) -> fineo::Result<String> {
    let answer = fineo.sql(tenant, sql).await?.to_csv().await?;
    println!("{what}:\n{answer}");
    Ok(answer)
}
