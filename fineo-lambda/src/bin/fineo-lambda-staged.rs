//! Stage staged as a function, behind a mapping of the staged stream.

use aws_lambda_events::event::kinesis::KinesisEvent;
use fineo_core::{SystemClock, archive::Stage};
use fineo_lambda::{Settings, StageFunction, init_log, time_left};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};

#[tokio::main]
async fn main() -> Result<(), Error> {
    init_log();
    let settings = Settings::from_environment()?;
    let (_, parts) = settings.connect().await?;
    let function = StageFunction::new(parts, settings.pipeline(), Stage::Staged);
    run(service_fn(|event: LambdaEvent<KinesisEvent>| async {
        let within = time_left(event.context.deadline, &SystemClock);
        function.call(event.payload, within).await.map_err(Error::from)
    }))
    .await
}
