//! `fineo replay`: sends archived events through a stage again.

use std::path::Path;

use fineo_server::http::operator::CompactRequest;

use crate::{
    args::{ReplayArgs, StageName},
    compact,
    engine::Opener,
    failure::Failure,
    place::Place,
    stop::unless_stopped,
};

/// Replays what was asked for, and says what became of it.
pub(crate) async fn run(args: &ReplayArgs, opener: &Opener) -> Result<(), Failure> {
    if let (Some(from), Some(to)) = (args.from, args.to)
        && to <= from
    {
        return Err(Failure::Misuse("no time lies between --from and --to".to_owned()));
    }
    if args.fresh && args.stage != Some(StageName::Staged) {
        return Err(Failure::Misuse(
            "--fresh makes tables of what stage staged has archived: --stage staged".to_owned(),
        ));
    }
    if let (Place::Directory(from), Some(into)) = (&opener.place, &args.into)
        && is_same(from, into)
    {
        let message = format!("--into names the directory that is replayed, {}: name another one", into.display());
        return Err(Failure::Misuse(message));
    }
    let engine = opener.open().await?;
    if args.fresh {
        let asked = CompactRequest {
            tenant: Some(args.tenant.to_string()),
            fresh: true,
            metric: args.metric.clone(),
            ..CompactRequest::default()
        };
        let made_anew = async {
            engine.restore_all_staged(args).await?;
            engine.compact(&asked, opener.place.scratch(), &|_| {}).await
        };
        let result = unless_stopped(Box::pin(made_anew)).await;
        return compact::finish(&engine.finish(result).await?, args.output);
    }
    let result = unless_stopped(engine.replay(args)).await;
    engine.finish(result).await?.print(args.output)
}

/// Whether both are one directory, which is there.
fn is_same(one: &Path, other: &Path) -> bool {
    let (one, other) = (one.canonicalize(), other.canonicalize());
    matches!((one, other), (Ok(one), Ok(other)) if one == other)
}
