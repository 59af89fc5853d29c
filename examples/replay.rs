//! Events that could not be read come back after a schema fix, exactly once: `cargo run --example replay`.

use fineo::{Fineo, ReplayRequest, Stage, TenantId};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let fineo = Fineo::local(directory.path()).open().await?;
    let acme = TenantId::new("acme")?;
    let receipt = fineo
        .ingest(
            &acme,
            r#"{"metrictype": "meter", "timestamp": "14/02/2016 0:00", "kwh": 50}
               {"metrictype": "meter", "timestamp": "14/02/2016 0:10", "kwh": 51}
               {"metrictype": "meter", "timestamp": "2016-02-14T00:20:00Z", "kwh": 52}"#,
        )
        .await?;
    fineo.wait_until_queryable(&receipt).await?;
    let errors =
        fineo.sql(&acme, "SELECT code, count(*) AS n FROM errors.stream GROUP BY code").await?.to_csv().await?;
    println!("{errors}");
    assert_eq!(errors, "code,n\ntimestamp_unreadable,2\n");

    // The tenant tells us how its meters write time; the archived events pass stage raw again.
    fineo.schema(&acme).declare(r#"{"timestamp_formats": ["%d/%m/%Y %H:%M"]}"#).await?;
    let report = fineo.replay(ReplayRequest::new(Stage::Raw, acme.clone()).with_errors_only(true)).await?;
    println!("{report:?}");
    // Twice changes nothing.
    fineo.replay(ReplayRequest::new(Stage::Raw, acme.clone())).await?;

    let rows =
        fineo.sql(&acme, "SELECT count(*) AS n, sum(CAST(kwh AS INT)) AS kwh FROM meter").await?.to_csv().await?;
    println!("{rows}");
    assert_eq!(rows, "n,kwh\n3,153\n");
    let open =
        fineo.sql(&acme, "SELECT count(*) AS n FROM errors.stream WHERE repaired_at IS NULL").await?.to_csv().await?;
    assert_eq!(open, "n\n0\n");
    fineo.close().await?;
    Ok(())
}
