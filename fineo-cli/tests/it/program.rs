//! The built program in a directory of its own, wherever it keeps its events.

use std::{
    ffi::OsStr,
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

    pub(crate) fn command_of(&self, words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fineo"));
        command.current_dir(self.directory.path()).args(words);
        command.env("FINEO_DATA_DIR", self.path("store")).env_remove("RUST_LOG");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
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
