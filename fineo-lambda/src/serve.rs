//! A stage behind the runtime of Lambda.

use aws_lambda_events::event::kinesis::KinesisEvent;
use fineo_core::{SystemClock, archive::Stage};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};

use crate::{Settings, StageFunction, init_log, metrics::Refused, time_left};

/// Runs `stage` for as long as Lambda calls, as the environment says.
///
/// # Errors
///
/// When the environment lacks a setting, or the runtime cannot be reached.
pub async fn serve_stage(stage: Stage) -> Result<(), Error> {
    init_log();
    let settings = Settings::from_environment()?;
    let (_, parts) = settings.connect().await?;
    let function = StageFunction::new(parts, settings.pipeline(), stage);
    let (function, prefix) = (&function, settings.aws.prefix.as_str());
    run(service_fn(|event: LambdaEvent<KinesisEvent>| async move {
        let before = Refused::of(function.counters());
        let left = time_left(event.context.deadline, &SystemClock);
        let answer = Box::pin(function.call(event.payload, left)).await;
        if let Some(line) = Refused::of(function.counters()).line(before, prefix, &SystemClock) {
            println!("{line}");
        }
        answer.map_err(Error::from)
    }))
    .await
}
