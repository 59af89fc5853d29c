//! `fineo demo`: a small drifting fleet, and the questions that show what is special.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::Parser;

use crate::{
    args::Arguments,
    engine::Opener,
    failure::{Failure, say},
    place::Place,
};

mod fleet;
mod story;

use story::Step;

/// Tells the story in `directory`, or in a new one among the system's temporary files.
pub(crate) async fn run(directory: Option<PathBuf>) -> Result<(), Failure> {
    let directory = match directory {
        Some(directory) => directory,
        None => fresh_directory()?,
    };
    let is_new = std::fs::read_dir(&directory).map_or(true, |mut there| there.next().is_none());
    let events = directory.join("demo-events");
    std::fs::create_dir_all(&events)?;
    for (name, text) in fleet::files() {
        std::fs::write(events.join(name), text)?;
    }
    let tenant = unused_tenant(&directory).await?;
    print(&story::opening(&directory))?;
    for step in story::STEPS {
        tell(&step, &directory, &events, &tenant).await?;
    }
    print(&story::ending(&directory, &tenant, is_new))
}

/// The first directory of its name that is not there yet.
fn fresh_directory() -> Result<PathBuf, Failure> {
    let parent = std::env::temp_dir();
    let mut number = std::process::id();
    loop {
        let directory = parent.join(format!("fineo-demo-{number}"));
        match std::fs::create_dir(&directory) {
            Ok(()) => return Ok(directory),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(error.into()),
        }
    }
}

/// `demo`, or where the directory has one from before, `demo-2`, `demo-3`, …: the story begins with nothing declared.
async fn unused_tenant(directory: &Path) -> Result<String, Failure> {
    let opener = Opener { place: Place::Directory(directory.to_owned()), creates_missing: true };
    let engine = opener.open().await?;
    let mut tenant = "demo".to_owned();
    let mut number = 1;
    while !engine.catalog(&tenant.parse()?).await?.metrics.is_empty() {
        number += 1;
        tenant = format!("demo-{number}");
    }
    engine.finish(Ok(tenant)).await
}

/// Prints a step, does it exactly as printed, and lets it print its answer.
async fn tell(step: &Step, directory: &Path, events: &Path, tenant: &str) -> Result<(), Failure> {
    print(&format!("\n── {}\n", step.says))?;
    for command in step.commands {
        let words: Vec<String> = command.iter().map(|word| placed(word, events, tenant)).collect();
        print(&format!("\n$ fineo {}\n", words.iter().map(|word| spelt(word)).collect::<Vec<_>>().join(" ")))?;
        let line = ["fineo".to_owned(), "--data-dir".to_owned(), directory.display().to_string()];
        let arguments = Arguments::try_parse_from(line.into_iter().chain(words))
            .map_err(|error| Failure::Misuse(error.to_string()))?;
        if let Err(failure) = crate::run(arguments).await {
            say("fineo: the demo stops here");
            return Err(failure);
        }
    }
    Ok(())
}

fn placed(word: &str, events: &Path, tenant: &str) -> String {
    match word.strip_prefix("@") {
        Some("tenant") => tenant.to_owned(),
        Some(file) => events.join(file).display().to_string(),
        None => word.to_owned(),
    }
}

/// `word` as a shell reads it.
fn spelt(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ':' | '=' | ',');
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    if word.contains('\'') && !word.contains(['"', '$', '`', '\\', '!']) {
        return format!("\"{word}\"");
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    Ok(stdout.flush()?)
}
