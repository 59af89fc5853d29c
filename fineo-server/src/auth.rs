//! Who may come in, as whom, and for what.

mod credentials;
mod hex;
mod principal;
mod record;
mod refusal;
mod scram;
mod throttle;
mod token;

pub use credentials::Credentials;
pub use principal::{Principal, Scope, Scopes};
pub use refusal::Refusal;
pub use scram::{SCRAM_ITERATIONS, ScramChallenge, ScramProven};
pub use token::{Token, TokenId, TokenInfo, TokenRequest};
