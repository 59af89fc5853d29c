//! The words of `fineo schema`.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};
use fineo::core::{TenantId, Timestamp};

use super::{Format, SetArgs, tenant};
use crate::instant::instant;

const AFTER_HELP: &str = "\
Examples:
  fineo schema --tenant acme discovered
  fineo schema --tenant acme field add thermostat temp double --alias temperature
  fineo schema --tenant acme metric rename machine1 press
  fineo schema --tenant acme export > acme.yaml
  fineo schema --tenant acme apply acme.yaml --dry-run
  fineo schema --tenant acme history
  fineo schema --tenant acme undo CHANGE

A change counts at once, for what is stored as for what will come, and rewrites nothing.";

/// Look at and change what a tenant's data means.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct SchemaArgs {
    /// The tenant whose schema it is (required)
    #[arg(long, global = true, value_parser = tenant, value_name = "T")]
    pub(crate) tenant: Option<TenantId>,

    /// How to print lists
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) format: Format,

    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: SchemaVerb,
}

/// What can be done with a schema.
#[derive(Debug, Subcommand)]
pub(crate) enum SchemaVerb {
    /// Create, rename, alias, merge, show, list or delete metrics
    #[command(after_help = "Example:\n  fineo schema --tenant acme metric create thermostat --alias tstat")]
    Metric {
        /// What to do.
        #[command(subcommand)]
        verb: MetricVerb,
    },
    /// Declare, rename, alias, retype, hide or delete fields
    #[command(after_help = "Example:\n  fineo schema --tenant acme field add thermostat temp double")]
    Field {
        /// What to do.
        #[command(subcommand)]
        verb: FieldVerb,
    },
    /// Create roles, and say which fields each may read
    #[command(after_help = "Example:\n  fineo schema --tenant acme role grant analyst thermostat temp humidity")]
    Role {
        /// What to do.
        #[command(subcommand)]
        verb: RoleVerb,
    },
    /// Say how events are read: metric keys, times, policies, identity
    Set(SetArgs),
    /// Make the schema what a file says
    Apply(ApplyArgs),
    /// Print the schema as a file for `apply`
    #[command(after_help = "Example:\n  fineo schema --tenant acme export > acme.yaml")]
    Export,
    /// List every change with its id
    #[command(after_help = "Example:\n  fineo schema --tenant acme history --format csv")]
    History,
    /// Make the inverse of a change
    #[command(after_help = "Example:\n  fineo schema --tenant acme undo 4f0c…   (the id is in `history`)")]
    Undo {
        /// The id of the change
        #[arg(value_name = "CHANGE")]
        change: String,
    },
    /// List what was sent but never declared, with counts, samples and shares of types
    #[command(after_help = "Example:\n  fineo schema --tenant acme discovered --metric thermostat")]
    Discovered {
        /// Only names of this metric
        #[arg(long, value_name = "M")]
        metric: Option<String>,
    },
    /// Propose declarations, aliases and merges, with the evidence
    #[command(
        after_help = "Examples:\n  fineo schema --tenant acme suggest\n  fineo schema --tenant acme suggest --apply ID"
    )]
    Suggest {
        /// Apply this suggestion
        #[arg(long, value_name = "ID")]
        apply: Option<String>,
    },
}

impl SchemaVerb {
    /// Whether a directory in which there is no store becomes one by it.
    pub(crate) fn creates_missing(&self) -> bool {
        match self {
            Self::Metric { verb } => !matches!(verb, MetricVerb::List | MetricVerb::Show { .. }),
            Self::Role { verb } => !matches!(verb, RoleVerb::List),
            Self::Field { .. } | Self::Set(_) => true,
            Self::Apply(args) => !args.dry_run,
            Self::Export | Self::History | Self::Undo { .. } | Self::Discovered { .. } | Self::Suggest { .. } => false,
        }
    }
}

/// Options of `fineo schema apply`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  fineo schema --tenant acme apply acme.yaml --dry-run\n  fineo schema --tenant acme apply -  < acme.yaml"
)]
pub(crate) struct ApplyArgs {
    /// The file, YAML or JSON; `-` is standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// Print the plan and stop there
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// What can be done with metrics.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum MetricVerb {
    /// Create a metric
    #[command(
        after_help = "Examples:\n  fineo schema --tenant acme metric create thermostat --alias tstat\n  fineo schema --tenant acme metric create thermostat --from-example event.json"
    )]
    Create {
        /// The metric
        metric: String,
        /// Another name that events may use; again for more
        #[arg(long = "alias", value_name = "A")]
        aliases: Vec<String>,
        /// Declare the fields of the events in this file, with the types that they show
        #[arg(long, value_name = "FILE")]
        from_example: Option<PathBuf>,
    },
    /// Give a metric another display name; the old one stays an alias
    #[command(after_help = "Example:\n  fineo schema --tenant acme metric rename machine1 press")]
    Rename {
        /// The metric
        metric: String,
        /// Its new name
        new: String,
    },
    /// Add an alias
    #[command(after_help = "Example:\n  fineo schema --tenant acme metric alias thermostat tstat")]
    Alias {
        /// The metric
        metric: String,
        /// The alias
        alias: String,
    },
    /// Take an alias away
    #[command(after_help = "Example:\n  fineo schema --tenant acme metric unalias thermostat tstat")]
    Unalias {
        /// The metric
        metric: String,
        /// The alias
        alias: String,
    },
    /// Let the rows and names of one metric answer under another; no data is written
    #[command(after_help = "Example:\n  fineo schema --tenant acme metric merge machine1c machine1")]
    Merge {
        /// The metric that goes
        from: String,
        /// The metric that stays
        into: String,
    },
    /// Make what a metric holds unreadable for ever; later events count as newly discovered
    #[command(after_help = "Example:\n  fineo schema --tenant acme metric delete test_device")]
    Delete {
        /// The metric
        metric: String,
    },
    /// Show one metric: its names, fields, settings
    #[command(after_help = "Example:\n  fineo schema --tenant acme metric show thermostat")]
    Show {
        /// The metric
        metric: String,
    },
    /// List the metrics
    #[command(after_help = "Example:\n  fineo schema --tenant acme metric list --format json")]
    List,
    /// Rule a metric an error: its events go to the errors, its rows answer there
    #[command(after_help = "Example:\n  fineo schema --tenant acme metric rule-out thermosatt")]
    RuleOut {
        /// The metric
        metric: String,
    },
    /// Take the ruling back
    #[command(after_help = "Example:\n  fineo schema --tenant acme metric rule-in thermosatt")]
    RuleIn {
        /// The metric
        metric: String,
    },
}

/// What can be done with fields.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum FieldVerb {
    /// Declare a field: everything ever sent under its names is readable through it, typed
    #[command(
        after_help = "Examples:\n  fineo schema --tenant acme field add thermostat temp double --alias temperature\n  fineo schema --tenant acme field add meter price 'decimal(10,2)'\n\nTypes: string boolean int long float double decimal(p,s) timestamp date bytes json"
    )]
    Add {
        /// The metric
        metric: String,
        /// The field
        field: String,
        /// Its type
        #[arg(value_name = "TYPE")]
        field_type: String,
        /// Another name that events use for it; again for more
        #[arg(long = "alias", value_name = "A")]
        aliases: Vec<String>,
    },
    /// Give a field another display name; the old one stays its first alias
    #[command(after_help = "Example:\n  fineo schema --tenant acme field rename thermostat temp temperature")]
    Rename(RenameArgs),
    /// Add an alias
    #[command(after_help = "Example:\n  fineo schema --tenant acme field alias thermostat temp t")]
    Alias(AliasArgs),
    /// Take an alias away
    #[command(after_help = "Example:\n  fineo schema --tenant acme field unalias thermostat temp t")]
    Unalias(AliasArgs),
    /// Give a field another type; values that do not fit are conflicts, not errors
    #[command(after_help = "Example:\n  fineo schema --tenant acme field retype thermostat mode string")]
    Retype {
        /// The metric
        metric: String,
        /// The field
        field: String,
        /// Its new type
        #[arg(value_name = "TYPE")]
        field_type: String,
    },
    /// Make a field's values unreadable until `unhide`
    #[command(after_help = "Example:\n  fineo schema --tenant acme field hide thermostat owner")]
    Hide(FieldArgs),
    /// Make a hidden field readable again
    #[command(after_help = "Example:\n  fineo schema --tenant acme field unhide thermostat owner")]
    Unhide(FieldArgs),
    /// Take a declaration back: the values are undeclared text again
    #[command(after_help = "Example:\n  fineo schema --tenant acme field undeclare thermostat temp")]
    Undeclare(FieldArgs),
    /// Make a field's values unreadable for ever; later ones count as newly discovered
    #[command(after_help = "Example:\n  fineo schema --tenant acme field delete thermostat owner")]
    Delete(FieldArgs),
    /// Rule a name an error: events that carry it go to the errors
    #[command(after_help = "Example:\n  fineo schema --tenant acme field rule-out thermostat tmep")]
    RuleOut(FieldArgs),
    /// Take the ruling back
    #[command(after_help = "Example:\n  fineo schema --tenant acme field rule-in thermostat tmep")]
    RuleIn(FieldArgs),
    /// State the unit of values, or convert them when they are read
    Unit(UnitArgs),
}

/// What can be done with roles.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum RoleVerb {
    /// Create a role, which may read nothing yet
    #[command(after_help = "Example:\n  fineo schema --tenant acme role create analyst")]
    Create {
        /// The role
        role: String,
    },
    /// Take a role away: tokens that have it read nothing any more
    #[command(after_help = "Example:\n  fineo schema --tenant acme role delete analyst")]
    Delete {
        /// The role
        role: String,
    },
    /// Let a role read fields of a metric
    #[command(after_help = AFTER_HELP_OF_GRANT)]
    Grant {
        /// The role
        role: String,
        /// The metric, by any of its names; `*` for every one, or errors.stream
        metric: String,
        /// The declared fields, by any of their names; `*` for every one
        #[arg(value_name = "FIELD")]
        fields: Vec<String>,
        /// With `*`: also undeclared fields, and what comes later
        #[arg(long, conflicts_with = "now_only")]
        later: bool,
        /// With `*`: only the fields that are declared now
        #[arg(long)]
        now_only: bool,
    },
    /// Take a grant back: of some fields, or of the whole metric
    #[command(
        after_help = "Examples:\n  fineo schema --tenant acme role revoke analyst thermostat owner\n  fineo schema --tenant acme role revoke analyst thermostat"
    )]
    Revoke {
        /// The role
        role: String,
        /// The metric, by any of its names; `*` for every one, or errors.stream
        metric: String,
        /// The fields [default: the whole metric]
        #[arg(value_name = "FIELD")]
        fields: Vec<String>,
    },
    /// List the roles and what each may read
    #[command(after_help = "Example:\n  fineo schema --tenant acme role list --format json")]
    List,
}

const AFTER_HELP_OF_GRANT: &str = "\
Examples:
  fineo schema --tenant acme role grant analyst thermostat temp humidity
  fineo schema --tenant acme role grant analyst thermostat '*' --now-only
  fineo schema --tenant acme role grant analyst '*' --later
  fineo schema --tenant acme role grant analyst errors.stream

A grant is of the field, whatever it is called: by alias, renamed or aliased later, it stays the same one.
What is not granted is to the role as if it were not there. To come in a role:
  fineo token create --tenant acme --scope query --role analyst
  fineo sql --tenant acme --role analyst 'SELECT * FROM thermostat'";

/// A field of a metric.
#[derive(Debug, Clone, Args)]
pub(crate) struct FieldArgs {
    /// The metric
    pub(crate) metric: String,
    /// The field
    pub(crate) field: String,
}

/// A field of a metric and another name.
#[derive(Debug, Clone, Args)]
pub(crate) struct AliasArgs {
    /// The metric
    pub(crate) metric: String,
    /// The field
    pub(crate) field: String,
    /// The alias
    pub(crate) alias: String,
}

/// A field of a metric and its new name.
#[derive(Debug, Clone, Args)]
pub(crate) struct RenameArgs {
    /// The metric
    pub(crate) metric: String,
    /// The field
    pub(crate) field: String,
    /// Its new name
    pub(crate) new: String,
}

const AFTER_HELP_OF_UNIT: &str = "\
Examples:
  fineo schema --tenant acme field unit thermostat temp --unit C
  fineo schema --tenant acme field unit thermostat temp --unit F --alias tempF
  fineo schema --tenant acme field unit thermostat temp --scale 0.1 --offset -32 --from 2026-03-01

With no --alias, --source, --from or --to, --unit is the unit of the field; else it is the unit in
which those values were sent, and they are converted to the field's. --scale and --offset mean
value * scale + offset.";

/// Options of `fineo schema field unit`.
#[derive(Debug, Clone, Args)]
#[command(after_help = AFTER_HELP_OF_UNIT, group = ArgGroup::new("conversion").required(true).multiple(true))]
pub(crate) struct UnitArgs {
    /// The metric
    pub(crate) metric: String,
    /// The field
    pub(crate) field: String,
    /// The unit
    #[arg(long, value_name = "U", group = "conversion", conflicts_with_all = ["scale", "offset"])]
    pub(crate) unit: Option<String>,
    /// The factor of the conversion [default: 1]
    #[arg(long, value_name = "A", group = "conversion", allow_hyphen_values = true)]
    pub(crate) scale: Option<f64>,
    /// What is then added [default: 0]
    #[arg(long, value_name = "B", group = "conversion", allow_hyphen_values = true)]
    pub(crate) offset: Option<f64>,
    /// Only values sent under this name of the field
    #[arg(long, value_name = "N")]
    pub(crate) alias: Option<String>,
    /// Only values of events that called the metric by this name
    #[arg(long, value_name = "METRIC-NAME")]
    pub(crate) source: Option<String>,
    /// Only values from this time on
    #[arg(long, value_parser = instant, allow_hyphen_values = true, value_name = "TS")]
    pub(crate) from: Option<Timestamp>,
    /// Only values before this time
    #[arg(long, value_parser = instant, allow_hyphen_values = true, value_name = "TS")]
    pub(crate) to: Option<Timestamp>,
}
