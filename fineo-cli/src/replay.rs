//! `fineo replay`: sends archived events through a stage again.

use crate::{args::ReplayArgs, engine::Opener, failure::Failure, stop::unless_stopped};

/// Replays what was asked for, and says what became of it.
pub(crate) async fn run(args: &ReplayArgs, opener: &Opener) -> Result<(), Failure> {
    if let (Some(from), Some(to)) = (args.from, args.to)
        && to <= from
    {
        return Err(Failure::Misuse("no time lies between --from and --to".to_owned()));
    }
    let engine = opener.open().await?;
    let result = unless_stopped(engine.replay(args)).await;
    engine.finish(result).await?.print(args.output)
}
