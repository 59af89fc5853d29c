//! Every documented word is understood, and misuse is not.

use clap::{CommandFactory, Parser, error::ErrorKind};

use super::Arguments;

fn parse(line: &str) -> Result<Arguments, ErrorKind> {
    Arguments::try_parse_from(line.split(' ')).map_err(|error| error.kind())
}

#[test]
fn the_words_do_not_contradict_each_other() {
    Arguments::command().debug_assert();
}

#[test]
fn global_options_stand_before_or_after_the_verb() {
    for line in [
        "fineo --data-dir /d status",
        "fineo status --data-dir /d",
        "fineo schema --data-dir /d --tenant t metric list",
        "fineo schema metric list --tenant t --data-dir /d",
    ] {
        let arguments = parse(line).expect(line);
        assert_eq!(arguments.directory().to_str(), Some("/d"), "{line}");
    }
}

#[test]
fn every_documented_line_parses() {
    for line in [
        "fineo ingest --tenant t a.json b.csv.gz -",
        "fineo ingest --tenant-field customer --format json --metric m --output json",
        "fineo sql --tenant t select --format parquet",
        "fineo sql --tenant t -f x.sql --format ndjson",
        "fineo sql --tenant t",
        "fineo schema --tenant t metric create m --alias a --alias b",
        "fineo schema --tenant t metric create m --from-example f",
        "fineo schema --tenant t metric rename m n",
        "fineo schema --tenant t metric alias m a",
        "fineo schema --tenant t metric unalias m a",
        "fineo schema --tenant t metric merge a b",
        "fineo schema --tenant t metric delete m",
        "fineo schema --tenant t metric show m",
        "fineo schema --tenant t metric list",
        "fineo schema --tenant t metric rule-out m",
        "fineo schema --tenant t metric rule-in m",
        "fineo schema --tenant t field add m f decimal(10,2) --alias a",
        "fineo schema --tenant t field rename m f n",
        "fineo schema --tenant t field alias m f a",
        "fineo schema --tenant t field unalias m f a",
        "fineo schema --tenant t field retype m f long",
        "fineo schema --tenant t field hide m f",
        "fineo schema --tenant t field unhide m f",
        "fineo schema --tenant t field undeclare m f",
        "fineo schema --tenant t field delete m f",
        "fineo schema --tenant t field rule-out m f",
        "fineo schema --tenant t field rule-in m f",
        "fineo schema --tenant t field unit m f --unit F --alias a",
        "fineo schema --tenant t field unit m f --scale -1.5e-3 --offset -32 --source s --from 2026-01-01 --to -5",
        "fineo schema --tenant t set --metric m --timestamp-formats epoch_s --timestamp-formats %Y,%m --timestamp-aliases a,b",
        "fineo schema --tenant t set --metric-keys a,b --unknown-metric reject --missing-timestamp arrival --identity key",
        "fineo schema --tenant t apply - --dry-run",
        "fineo schema --tenant t export",
        "fineo schema --tenant t history",
        "fineo schema --tenant t undo c",
        "fineo schema --tenant t discovered",
        "fineo schema --tenant t suggest --apply i",
        "fineo errors --tenant t",
        "fineo bootstrap --cold-after-days 90 --cold-class GLACIER",
        "fineo replay --tenant t --stage raw --restore 7",
        "fineo replay --tenant t --into d --restore 1 --restore-tier bulk",
        "fineo replay --tenant t --into d --speed recorded",
        "fineo replay --tenant t --stage staged --fresh --restore 30 --restore-tier expedited",
        "fineo replay --tenant t --stage raw --mode as-recorded --metric m --from 2026-01-01 --to 2026-02-01 --errors-only",
        "fineo status",
        "fineo capabilities",
        "fineo demo",
    ] {
        assert!(parse(line).is_ok(), "{line}: {:?}", parse(line).err());
    }
}

#[test]
fn misuse_is_refused() {
    for (line, kind) in [
        ("fineo ingest x.json", ErrorKind::MissingRequiredArgument),
        ("fineo ingest --tenant t --tenant-field k x.json", ErrorKind::ArgumentConflict),
        ("fineo ingest --tenant _t x.json", ErrorKind::ValueValidation),
        ("fineo sql --tenant a/b select", ErrorKind::ValueValidation),
        ("fineo sql --tenant t --fromat csv", ErrorKind::UnknownArgument),
        ("fineo sql --tenant t --format xml", ErrorKind::InvalidValue),
        ("fineo schema --tenant t field unit m f", ErrorKind::MissingRequiredArgument),
        ("fineo schema --tenant t field unit m f --unit C --scale 2", ErrorKind::ArgumentConflict),
        ("fineo replay --tenant t", ErrorKind::MissingRequiredArgument),
        ("fineo bootstrap --cold-after-days 29", ErrorKind::ValueValidation),
        ("fineo bootstrap --cold-class GLACIER", ErrorKind::MissingRequiredArgument),
        ("fineo replay --tenant t --stage raw --restore 0", ErrorKind::ValueValidation),
        ("fineo replay --tenant t --stage raw --restore-tier bulk", ErrorKind::MissingRequiredArgument),
        ("fineo replay --tenant t --stage raw --speed recorded", ErrorKind::ArgumentConflict),
    ] {
        assert_eq!(parse(line).err(), Some(kind), "{line}");
    }
}

#[test]
fn the_help_of_every_verb_has_an_example() {
    fn check(command: &clap::Command, before: &str) {
        let words = format!("{before} {}", command.get_name());
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        // Those of the schema have the tenant in between.
        let typed = words.strip_prefix("fineo schema ").unwrap_or(&words);
        assert!(help.contains("Example") && (help.contains(typed) || command.has_subcommands()), "{words}: {help}");
        command.get_subcommands().for_each(|verb| check(verb, &words));
    }
    Arguments::command().get_subcommands().for_each(|verb| check(verb, "fineo"));
}
