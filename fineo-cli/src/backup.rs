//! `fineo backup` and `fineo restore`: a copy of everything, and a directory out of it.

use fineo::BackupReport;

use crate::{
    args::{BackupArgs, RestoreArgs, SummaryFormat},
    engine::Opener,
    failure::Failure,
    report::Report,
    stop::unless_stopped,
};

/// Backs up, and says what the backup holds.
pub(crate) async fn back_up(args: &BackupArgs, opener: &Opener) -> Result<(), Failure> {
    // A server that does it has another working directory.
    let folder = std::path::absolute(&args.to)?;
    let engine = opener.open().await?;
    let result = unless_stopped(engine.back_up(&folder)).await;
    print("backed up", &engine.finish(result).await?, args.output)
}

/// Restores, and says what was restored.
pub(crate) async fn restore(args: &RestoreArgs, opener: &Opener) -> Result<(), Failure> {
    let builder = opener.place.builder()?;
    let report = unless_stopped(async { Ok(Box::pin(builder.restore_from(&args.from)).await?) }).await?;
    print("restored", &report, args.output)
}

fn print(what: &str, report: &BackupReport, format: SummaryFormat) -> Result<(), Failure> {
    Report::new(format!("{what} and verified: {report}\n"), report)?.print(format)
}
