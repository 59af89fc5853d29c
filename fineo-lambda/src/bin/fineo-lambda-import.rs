//! The import of files as a function, behind notifications of a bucket.

use fineo_core::SystemClock;
use fineo_lambda::{ImportFunction, Settings, init_log, time_left};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::Value;

#[tokio::main]
async fn main() -> Result<(), Error> {
    init_log();
    let settings = Settings::from_environment()?;
    let (aws, parts) = settings.connect().await?;
    let manifests = aws.bucket().folder("imports");
    let function = ImportFunction::from_s3(&parts, settings.inbox, settings.aws, manifests);
    let function = &function;
    run(service_fn(|event: LambdaEvent<Value>| async move {
        let within = time_left(event.context.deadline, &SystemClock);
        function.call(event.payload, within).await.map_err(Error::from)
    }))
    .await
}
