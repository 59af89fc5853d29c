//! What a backend survives.

use std::fmt;

/// The worst fault that done changes survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Durability {
    /// None: the data lives in the memory of one process.
    Volatile,
    /// The death of the process.
    ProcessCrash,
    /// The loss of power of the machine.
    PowerLoss,
    /// The loss of a data centre.
    ZoneLoss,
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Volatile => "volatile",
            Self::ProcessCrash => "process crash",
            Self::PowerLoss => "power loss",
            Self::ZoneLoss => "zone loss",
        })
    }
}
