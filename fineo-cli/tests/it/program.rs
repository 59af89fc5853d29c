//! Runs the built program in a directory of its own.

use std::{
    ffi::OsStr,
    io::Write,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;

/// A directory and the program that works in it.
pub(crate) struct Program {
    directory: TempDir,
}

/// What a run of the program left.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Program {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// The program with the words of `line`, split at spaces.
    pub(crate) fn command(&self, line: &str) -> Command {
        self.command_of(line.split(' '))
    }

    pub(crate) fn command_of(&self, words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fineo"));
        command.current_dir(self.directory.path()).args(words);
        command.env("FINEO_DATA_DIR", self.path("store")).env_remove("RUST_LOG");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, line: &str) -> Answer {
        answer(&self.command(line).output().unwrap())
    }

    /// Runs `line` and expects it to be done.
    pub(crate) fn done(&self, line: &str) -> String {
        let answer = self.run(line);
        assert_eq!(answer.code, 0, "{line}: {answer:?}");
        answer.stdout
    }

    pub(crate) fn run_with_input(&self, line: &str, input: impl AsRef<[u8]>) -> Answer {
        let mut child = self.command(line).stdin(Stdio::piped()).spawn().unwrap();
        // A program that does not read its input to the end is judged by its answer.
        let _ = child.stdin.take().unwrap().write_all(input.as_ref());
        answer(&child.wait_with_output().unwrap())
    }

    /// What tenant `t` answers, as CSV.
    pub(crate) fn ask(&self, sql: &str) -> String {
        let answer = self.try_ask(sql);
        assert_eq!(answer.code, 0, "{sql}: {answer:?}");
        answer.stdout
    }

    pub(crate) fn try_ask(&self, sql: &str) -> Answer {
        answer(&self.command_of(["sql", "--tenant", "t", "--format", "csv", sql]).output().unwrap())
    }

    /// Takes in `events` for tenant `t` and gives the summary.
    pub(crate) fn ingest(&self, events: &str) -> serde_json::Value {
        let answer = self.run_with_input("ingest --tenant t --output json -", events);
        assert_eq!(answer.code, 0, "{answer:?}");
        serde_json::from_str(&answer.stdout).unwrap()
    }
}

pub(crate) fn answer(output: &Output) -> Answer {
    Answer {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Accepted, rejected, duplicates.
pub(crate) fn counts(summary: &serde_json::Value) -> [u64; 3] {
    ["accepted", "rejected", "duplicates"].map(|name| summary[name].as_u64().unwrap())
}
