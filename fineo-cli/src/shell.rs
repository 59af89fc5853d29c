//! The SQL shell: history, completion, timing, and Ctrl-C for a statement that runs too long.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use fineo::core::TenantId;
use rustyline::{
    Context, Editor, Helper, Highlighter, Hinter,
    completion::Completer,
    error::ReadlineError,
    history::FileHistory,
    validate::{ValidationContext, ValidationResult, Validator},
};

use crate::{
    args::Format,
    catalog::Catalog,
    engine::Engine,
    failure::{Failure, say, say_error},
    output::Style,
    sql, statements,
};

pub(crate) mod command;
pub(crate) mod complete;

/// The most lines of history that are kept.
const HISTORY_MAX: usize = 10_000;

/// What the shell remembers between statements.
#[derive(Debug)]
struct Shell<'a> {
    engine: &'a Engine,
    tenant: &'a TenantId,
    style: Style,
    is_timed: bool,
}

/// What to do after a line.
enum Next {
    Read,
    Quit,
}

/// Reads and answers statements until the user has enough.
pub(crate) async fn run(engine: &Engine, tenant: &TenantId, style: Style) -> Result<(), Failure> {
    let words = Words(Arc::new(Mutex::new(Catalog::default())));
    let mut editor = editor(words.clone())?;
    let history = history_file();
    if let Some(file) = &history {
        // No history yet is no failure.
        let _ = editor.load_history(file);
    }
    say(&format!("fineo {} · tenant {tenant} · end statements with ; · \\? for help", env!("CARGO_PKG_VERSION")));
    let mut shell = Shell { engine, tenant, style, is_timed: true };
    loop {
        words.refresh(engine, tenant).await;
        let prompt = format!("{tenant}=> ");
        let line = match tokio::task::block_in_place(|| editor.readline(&prompt)) {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(std::io::Error::other(error).into()),
        };
        if line.trim().is_empty() {
            continue;
        }
        remember(&mut editor, &line, history.as_ref());
        if let Next::Quit = shell.answer(line.trim()).await {
            break;
        }
    }
    Ok(())
}

impl Shell<'_> {
    async fn answer(&mut self, line: &str) -> Next {
        if line.starts_with('\\') {
            return self.command(line).await;
        }
        for statement in statements::all(line) {
            match sql::print_one(self.engine, self.tenant.into(), statement, self.style, self.is_timed).await {
                Ok(_) => {}
                Err(Failure::Stopped) => say("cancelled"),
                Err(Failure::Failed(error)) => say_error(&error),
                Err(Failure::Io(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => return Next::Quit,
                Err(Failure::Io(error)) => say(&format!("fineo: {error}")),
                Err(Failure::Misuse(message)) => say(&format!("fineo: {message}")),
            }
        }
        Next::Read
    }

    fn set_format(&mut self, word: &str) {
        let format = match word {
            "table" => Format::Table,
            "csv" => Format::Csv,
            "json" => Format::Json,
            "ndjson" => Format::Ndjson,
            _ => return say("formats of the shell: table csv json ndjson"),
        };
        self.style = Style { format, ..self.style };
        say(&format!("format is {word}"));
    }
}

fn editor(words: Words) -> Result<Editor<Words, FileHistory>, Failure> {
    let config = rustyline::Config::builder()
        .max_history_size(HISTORY_MAX)
        .and_then(|builder| builder.history_ignore_dups(true))
        .map_err(std::io::Error::other)?
        .completion_type(rustyline::CompletionType::List)
        .build();
    let mut editor = Editor::with_config(config).map_err(std::io::Error::other)?;
    editor.set_helper(Some(words));
    Ok(editor)
}

fn remember(editor: &mut Editor<Words, FileHistory>, line: &str, file: Option<&PathBuf>) {
    let _ = editor.add_history_entry(line);
    if let Some(file) = file {
        // A history that cannot be kept must not keep anyone from working.
        let _ = editor.append_history(file);
    }
}

/// `$XDG_STATE_HOME/fineo/history`, else below the home directory.
fn history_file() -> Option<PathBuf> {
    let from = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = from("XDG_STATE_HOME").or_else(|| Some(from("HOME")?.join(".local").join("state")))?;
    let directory = state.join("fineo");
    std::fs::create_dir_all(&directory).ok()?;
    Some(directory.join("history"))
}

/// The names that the shell knows, shared with the line editor.
#[derive(Debug, Clone, Helper, Hinter, Highlighter)]
struct Words(Arc<Mutex<Catalog>>);

impl Words {
    /// Learns what has become known since. Completion is a convenience: what fails here is no failure.
    async fn refresh(&self, engine: &Engine, tenant: &TenantId) {
        if let Ok(catalog) = engine.catalog(tenant).await {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = catalog;
        }
    }
}

impl Completer for Words {
    type Candidate = String;

    fn complete(&self, line: &str, cursor: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let catalog = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(complete::candidates(&catalog, line, cursor))
    }
}

impl Validator for Words {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let input = context.input();
        let is_whole = input.trim_start().starts_with('\\') || statements::is_blank(statements::split(input).1);
        Ok(if is_whole { ValidationResult::Valid(None) } else { ValidationResult::Incomplete })
    }
}
