//! Events as types of a program, and a typed client of a server over HTTP.
//!
//! [`event::FineoEvent`] says what a type of the program is as a metric; [`Client`] declares it, sends values of it and asks
//! in SQL. Neither knows a store or a stage: this is what a device or a service needs that only talks to a server.

mod answer;
mod client;
pub mod event;
mod http;
mod options;
mod query;
mod sent;
mod tries;

pub use client::Client;
pub use options::ClientOptions;
pub use query::Query;
pub use sent::{EventOutcome, EventStatus, SendError, Sent};
