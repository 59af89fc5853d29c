//! What the program answers to a line of words.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use crate::program::{Answer, Program, answer};

impl Program {
    /// The program with the words of `line`, split at spaces.
    pub(crate) fn command(&self, line: &str) -> Command {
        self.command_of(line.split(' '))
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

    /// Takes in `events` for tenant `t` and gives the summary.
    pub(crate) fn ingest(&self, events: &str) -> serde_json::Value {
        let answer = self.run_with_input("ingest --tenant t --output json -", events);
        assert_eq!(answer.code, 0, "{answer:?}");
        serde_json::from_str(&answer.stdout).unwrap()
    }
}
