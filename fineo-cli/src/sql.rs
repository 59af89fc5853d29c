//! `fineo sql`: runs statements and prints what they answer.

use std::{
    io::{self, BufWriter, IsTerminal},
    path::Path,
};

use arrow::array::RecordBatch;
use fineo::core::{Clock, SystemClock};

use crate::{
    args::{self, Format, SqlArgs},
    engine::{Asker, Engine, Opener},
    failure::{Failure, say},
    hints, input,
    output::{Style, result_writer},
    shell, statements,
    stop::unless_stopped,
};

/// The most bytes that are gathered before they go to stdout.
const OUTPUT_BUFFER_BYTES: usize = 64 * 1024;
/// The longest script.
const SCRIPT_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Runs the statements of the command line, of a file or of stdin, or opens a shell.
pub(crate) async fn run(args: &SqlArgs, opener: &Opener) -> Result<(), Failure> {
    let style = Style { format: args.format.unwrap_or_default(), formula_guard: args.formula_guard };
    let script = match (&args.sql, &args.file) {
        (Some(sql), _) => Some(checked(sql)?),
        (None, Some(file)) => Some(input::read_text(file, SCRIPT_BYTES_MAX)?),
        (None, None) if io::stdin().is_terminal() => None,
        (None, None) => Some(input::read_text(Path::new("-"), SCRIPT_BYTES_MAX)?),
    };
    let Some(script) = script else {
        return open_shell(args, opener, style).await;
    };
    let statements = statements::all(&script);
    check_form(style, statements.len())?;
    let asker = Asker { tenant: &args.tenant, role: args.role.as_deref() };
    let engine = opener.open().await?;
    let result = print_all(&engine, asker, &statements, style).await;
    engine.finish(result).await
}

async fn open_shell(args: &SqlArgs, opener: &Opener, style: Style) -> Result<(), Failure> {
    if style.format == Format::Parquet {
        return Err(Failure::Misuse("the shell does not print parquet: give the SQL on the command line".to_owned()));
    }
    if args.role.is_some() {
        return Err(Failure::Misuse("the shell completes names of everything: give the SQL with --role".to_owned()));
    }
    let engine = opener.open().await?;
    let result = shell::run(&engine, &args.tenant, style).await;
    engine.finish(result).await
}

fn check_form(style: Style, statements: usize) -> Result<(), Failure> {
    if statements == 0 {
        return Err(Failure::Misuse("no SQL statement was given".to_owned()));
    }
    if style.format != Format::Parquet {
        return Ok(());
    }
    if statements > 1 {
        return Err(Failure::Misuse("a parquet file holds the result of one statement".to_owned()));
    }
    if io::stdout().is_terminal() {
        return Err(Failure::Misuse("parquet is not for a terminal: add > result.parquet".to_owned()));
    }
    Ok(())
}

/// A mistyped option is not a comment.
fn checked(sql: &str) -> Result<String, Failure> {
    if sql.starts_with('-') && statements::is_blank(sql) && !sql.contains(char::is_whitespace) {
        let told = args::slip::of_sql(std::env::args_os());
        return Err(Failure::Misuse(told.unwrap_or_else(|| format!("no option {sql}"))));
    }
    Ok(sql.to_owned())
}

async fn print_all(engine: &Engine, asker: Asker<'_>, statements: &[&str], style: Style) -> Result<(), Failure> {
    let is_timed = io::stderr().is_terminal() && io::stdout().is_terminal();
    for (index, statement) in statements.iter().enumerate() {
        if index > 0 && style.format == Format::Table {
            use io::Write;
            writeln!(io::stdout())?;
        }
        print_one(engine, asker, statement, style, is_timed).await?;
    }
    Ok(())
}

/// Runs one statement and prints its result on stdout, and the number of rows and the time on stderr. Answers how many rows
/// there were.
pub(crate) async fn print_one(
    engine: &Engine,
    asker: Asker<'_>,
    statement: &str,
    style: Style,
    is_timed: bool,
) -> Result<u64, Failure> {
    let begun = SystemClock.now();
    let rows = match unless_stopped(print(engine, asker, statement, style, &mut |_| {})).await {
        Ok(rows) => rows,
        // The hint would tell of tables that the role may not see.
        Err(failure) if asker.role.is_some() => return Err(failure),
        Err(failure) => return Err(hints::with_tables(engine, asker.tenant, failure).await),
    };
    if is_timed {
        let micros = SystemClock.now().micros() - begun.micros();
        let noun = if rows == 1 { "row" } else { "rows" };
        say(&format!("({rows} {noun}, {}.{:03} s)", micros / 1_000_000, micros / 1_000 % 1_000));
    }
    Ok(rows)
}

/// Runs one statement and prints its result on stdout; `look` sees it too. Answers how many rows there were.
pub(crate) async fn print(
    engine: &Engine,
    asker: Asker<'_>,
    statement: &str,
    style: Style,
    look: &mut (dyn FnMut(&RecordBatch) + Send),
) -> Result<u64, Failure> {
    let mut stream = engine.sql(asker, statement).await?;
    let sink = Box::new(BufWriter::with_capacity(OUTPUT_BUFFER_BYTES, io::stdout()));
    let mut writer = result_writer(style, &stream.schema(), sink)?;
    let mut rows = 0;
    while let Some(batch) = stream.next().await? {
        rows += batch.num_rows() as u64;
        look(&batch);
        writer.write(&batch)?;
    }
    writer.finish()?;
    Ok(rows)
}
