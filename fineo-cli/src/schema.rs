//! `fineo schema`: looks at and changes what a tenant's data means.

use std::io::{self, Write};

use fineo::{
    core::{Error, ErrorKind, TenantId},
    schema::{Change, ChangeId},
};
use fineo_server::http::resource::AppliedView;

use crate::{
    args::{ApplyArgs, MetricVerb, RoleVerb, SchemaArgs, SchemaVerb},
    engine::{Engine, Opener},
    failure::{Failure, say},
    hints,
    output::screened,
    shell::command::list_metrics,
    stop::unless_stopped,
};

mod changes;
mod declaration;
mod example;
mod lists;

/// Does what the words say.
pub(crate) async fn run(args: &SchemaArgs, opener: &Opener) -> Result<(), Failure> {
    let Some(tenant) = &args.tenant else {
        return Err(Failure::Misuse("say whose schema it is: --tenant T".to_owned()));
    };
    let work = Work::prepare(args)?;
    let engine = match opener.open().await {
        // What a file would declare can be said before there is a store to declare it in.
        Err(Failure::Failed(error)) if work.is_dry_run() && error.kind() == ErrorKind::NotFound => {
            say("note: there is no store in this directory yet: this is what an empty one would take");
            Engine::empty().await?
        }
        opened => opened?,
    };
    let result = unless_stopped(work.carry_out(&engine, tenant, args)).await;
    engine.finish(result).await
}

/// What is to be done, with what could be read and checked before the store is opened.
enum Work<'a> {
    Change(Vec<Change>),
    CreateFromExample { metric: &'a str, aliases: &'a [String], events: Vec<String> },
    Declare { args: &'a ApplyArgs, declaration: String },
    Look,
}

impl<'a> Work<'a> {
    fn prepare(args: &'a SchemaArgs) -> Result<Self, Failure> {
        Ok(match &args.verb {
            SchemaVerb::Metric { verb: MetricVerb::List | MetricVerb::Show { .. } } => Self::Look,
            SchemaVerb::Metric { verb: MetricVerb::Create { metric, aliases, from_example: Some(file) } } => {
                Self::CreateFromExample { metric, aliases, events: example::read(file)? }
            }
            SchemaVerb::Metric { verb } => Self::Change(changes::of_metric(verb)),
            SchemaVerb::Field { verb } => Self::Change(changes::of_field(verb)),
            SchemaVerb::Role { verb: RoleVerb::List } => Self::Look,
            SchemaVerb::Role { verb } => Self::Change(changes::of_role(verb)),
            SchemaVerb::Set(set) if set.is_empty() => {
                return Err(Failure::Misuse("say what to set: fineo schema set --help lists it".to_owned()));
            }
            SchemaVerb::Set(set) => Self::Change(changes::of_settings(set)),
            SchemaVerb::Apply(apply) => Self::Declare { args: apply, declaration: declaration::read(&apply.file)? },
            SchemaVerb::Export
            | SchemaVerb::History
            | SchemaVerb::Undo { .. }
            | SchemaVerb::Discovered { .. }
            | SchemaVerb::Suggest { .. } => Self::Look,
        })
    }

    fn is_dry_run(&self) -> bool {
        matches!(self, Self::Declare { args, .. } if args.dry_run)
    }

    async fn carry_out(self, engine: &Engine, tenant: &TenantId, args: &SchemaArgs) -> Result<(), Failure> {
        match self {
            Self::Change(changes) => change(engine, tenant, changes).await,
            Self::CreateFromExample { metric, aliases, events } => {
                let settings = engine.settings(tenant).await?;
                let mut changes = example::changes(metric, aliases, &events, &settings)?;
                // Where nothing is known of the metric, the example alone counts.
                let sent = engine.undeclared(tenant, Some(metric)).await.unwrap_or_default();
                if let Some(note) = example::widen(&mut changes, &sent) {
                    say(&note);
                }
                change(engine, tenant, changes).await
            }
            Self::Declare { args, declaration } => declaration::apply(engine, tenant, &declaration, args.dry_run).await,
            Self::Look => look(engine, tenant, args).await,
        }
    }
}

async fn look(engine: &Engine, tenant: &TenantId, args: &SchemaArgs) -> Result<(), Failure> {
    match &args.verb {
        SchemaVerb::Metric { verb: MetricVerb::Show { metric } } => {
            lists::show(engine, tenant, metric, args.format).await
        }
        SchemaVerb::Metric { .. } => {
            let metrics = engine.catalog(tenant).await?.metrics;
            if metrics.is_empty() {
                hints::note_unknown(engine, tenant).await;
            }
            list_metrics(&metrics, args.format)
        }
        SchemaVerb::Export => declaration::export(engine, tenant).await,
        SchemaVerb::History => lists::history(engine, tenant, args.format).await,
        SchemaVerb::Undo { change } => report(tenant, &engine.undo(tenant, &change_id(tenant, change)?).await?),
        SchemaVerb::Discovered { metric } => lists::discovered(engine, tenant, metric.as_deref(), args.format).await,
        SchemaVerb::Suggest { apply: Some(id) } => report(tenant, &engine.apply_suggestion(tenant, id).await?),
        SchemaVerb::Suggest { apply: None } => lists::suggestions(engine, tenant, args.format).await,
        SchemaVerb::Role { .. } => lists::roles(engine, tenant, args.format).await,
        SchemaVerb::Field { .. } | SchemaVerb::Set(_) | SchemaVerb::Apply(_) => {
            Err(Error::internal("a change was taken for a look").into())
        }
    }
}

fn change_id(tenant: &TenantId, text: &str) -> Result<ChangeId, Error> {
    text.parse()
        .map_err(|error: Error| error.with("hint", format!("fineo schema --tenant {tenant} history lists the changes")))
}

/// Makes `changes` and says what was done, with every value that a field takes over.
async fn change(engine: &Engine, tenant: &TenantId, changes: Vec<Change>) -> Result<(), Failure> {
    let taken_over = changes::taken_over(engine, tenant, &changes).await;
    let is_for_ever =
        changes.iter().any(|change| matches!(change, Change::DeleteMetric { .. } | Change::DeleteField { .. }));
    let applied = engine.apply(tenant, changes).await.map_err(hints::of_change)?;
    print_lines(&applied.summary)?;
    print_lines(&taken_over)?;
    if is_for_ever {
        say(&format!("version {}; a deletion is for ever, nothing takes it back", applied.version));
        return Ok(());
    }
    report_version(tenant, &applied)
}

/// Says what was done, and how to take it back.
fn report(tenant: &TenantId, applied: &AppliedView) -> Result<(), Failure> {
    print_lines(&applied.summary)?;
    report_version(tenant, applied)
}

fn print_lines(lines: &[String]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    for line in lines {
        writeln!(stdout, "{}", screened(line))?;
    }
    Ok(stdout.flush()?)
}

fn report_version(tenant: &TenantId, applied: &AppliedView) -> Result<(), Failure> {
    let AppliedView { version, change, .. } = applied;
    if applied.is_repeated || applied.summary.is_empty() {
        return print_lines(&[format!("nothing changed: version {version} is as asked")]);
    }
    say(&format!("version {version}; to take it back: fineo schema --tenant {tenant} undo {change}"));
    for misfit in &applied.misfits {
        say(&format!("note: {}", screened(misfit)));
    }
    if !applied.misfits.is_empty() {
        say(&format!("hint: fineo sql --tenant {tenant} 'SELECT * FROM fineo_conflicts' counts what does not fit"));
    }
    Ok(())
}
