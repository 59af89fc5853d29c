//! A case: one sentence about one guarantee of one contract, and the code that checks it.

use std::fmt;

use fineo_core::Result;
use futures::future::BoxFuture;

use crate::Place;

/// One of the four contracts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Contract {
    /// [`fineo_core::Stream`].
    Stream,
    /// [`fineo_core::Archive`].
    Archive,
    /// [`fineo_core::NearlineStore`].
    Nearline,
    /// [`fineo_core::SchemaRepo`].
    Repo,
}

impl fmt::Display for Contract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stream => "stream",
            Self::Archive => "archive",
            Self::Nearline => "nearline",
            Self::Repo => "repo",
        })
    }
}

/// How a case ended that did not fail. A failed one panics or answers an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The backend keeps the guarantee.
    Passed,
    /// The backend cannot be asked, and why.
    Ignored(String),
}

impl Verdict {
    /// The case cannot be asked, because `reason`.
    pub fn ignored(reason: impl Into<String>) -> Self {
        Self::Ignored(reason.into())
    }
}

/// What a case runs, in a place of its own.
pub type Run = fn(Box<dyn Place>) -> BoxFuture<'static, Result<Verdict>>;

/// One sentence about one guarantee of one contract, and the code that checks it.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// Which contract.
    pub contract: Contract,
    /// Which of its numbered guarantees; 0 for all of them together.
    pub guarantee: u8,
    /// What holds, in a sentence.
    pub name: &'static str,
    /// Checks that it holds.
    pub run: Run,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.contract, self.guarantee, self.name)
    }
}

/// A list of cases of one contract: `guarantee "sentence" function`, one a line.
macro_rules! cases {
    ($contract:ident: $($guarantee:literal $name:literal $run:path,)*) => {
        &[$($crate::Case {
            contract: $crate::Contract::$contract,
            guarantee: $guarantee,
            name: $name,
            run: |place| Box::pin($run(place)),
        }),*]
    };
}

pub(crate) use cases;
