//! `fineo errors`: shows what was rejected.

use arrow::array::{Array, RecordBatch};

use crate::{
    args::{ErrorsArgs, Format},
    engine::{Engine, Opener},
    failure::{Failure, say},
    hints,
    output::Style,
    sql,
    stop::unless_stopped,
};

/// The most characters of an event that the table shows.
const RAW_SHOWN: usize = 160;

/// Shows the errors that were asked for.
pub(crate) async fn run(args: &ErrorsArgs, opener: &Opener) -> Result<(), Failure> {
    let engine = opener.open().await?;
    let result = unless_stopped(show(&engine, args)).await;
    engine.finish(result).await
}

async fn show(engine: &Engine, args: &ErrorsArgs) -> Result<(), Failure> {
    let tenant = &args.tenant;
    let mut open = 0;
    let mut count_open = |batch: &RecordBatch| {
        open += batch.column_by_name("repaired_at").map_or(0, |repaired_at| repaired_at.null_count());
    };
    let style = Style { format: args.format, ..Style::default() };
    let rows = sql::print(engine, tenant.into(), &statement(args), style, &mut count_open).await?;
    if rows == 0 {
        say("nothing was rejected that this asks for");
        hints::note_unknown(engine, tenant).await;
    } else if open > 0 && args.format == Format::Table {
        say(&format!(
            "hint: after a change that repairs them: fineo replay --tenant {tenant} --stage raw --errors-only"
        ));
    }
    Ok(())
}

fn statement(args: &ErrorsArgs) -> String {
    let columns = match args.format {
        Format::Table => {
            format!("received_at, stage, code, metric, message, left(raw, {RAW_SHOWN}) AS raw, repaired_at")
        }
        Format::Csv | Format::Json | Format::Ndjson | Format::Parquet => "*".to_owned(),
    };
    let code = args.code.as_ref().map(|code| format!("code = '{}'", code.replace('\'', "''")));
    let open = args.open.then(|| "repaired_at IS NULL".to_owned());
    let conditions: Vec<String> = code.into_iter().chain(open).collect();
    let filter = if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
    let order = match args.all {
        true => String::new(),
        false => format!(" ORDER BY received_at DESC LIMIT {}", args.limit),
    };
    format!("SELECT {columns} FROM errors.stream{filter}{order}")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::statement;
    use crate::args::{Arguments, Verb};

    fn check(words: &[&str], expected: &str) {
        let line = ["fineo", "errors", "--tenant", "t"].iter().chain(words);
        match Arguments::try_parse_from(line).unwrap().verb {
            Verb::Errors(args) => assert_eq!(statement(&args), expected),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_options_become_conditions_and_a_quote_stays_data() {
        check(&["--format", "csv"], "SELECT * FROM errors.stream ORDER BY received_at DESC LIMIT 20");
        check(
            &["--format", "json", "--all", "--open", "--code", "x' OR 1=1 --"],
            "SELECT * FROM errors.stream WHERE code = 'x'' OR 1=1 --' AND repaired_at IS NULL",
        );
    }
}
