//! Compaction as a function, behind a schedule.

use fineo_compact::CompactOptions;
use fineo_core::SystemClock;
use fineo_lambda::{CompactFunction, Settings, init_log, tables_of, time_left};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::Value;

#[tokio::main]
async fn main() -> Result<(), Error> {
    init_log();
    let (aws, parts) = Settings::from_environment()?.connect().await?;
    // Called again and again, it lets tenants with few new records wait for more.
    let options = CompactOptions::default().with_few_records(CompactOptions::FEW_RECORDS);
    let function = CompactFunction::new(&parts, tables_of(&aws)?, options);
    let function = &function;
    run(service_fn(|event: LambdaEvent<Value>| async move {
        let within = time_left(event.context.deadline, &SystemClock);
        function.call(within).await.map_err(Error::from)
    }))
    .await
}
