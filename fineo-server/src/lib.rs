//! Doors for other people's tools: HTTP, Postgres wire, Arrow Flight SQL.
//!
//! Every door is an async function `serve(listener, shared, shutdown)`: it accepts connections until `shutdown` is
//! requested, lets the ones it has finish, and returns. [`Shared`] is what all of them work on. A caller's tenant always
//! comes from the credential that it showed ([`Credentials`]), never from what it says.

pub mod auth;
pub mod client;
mod compaction;
pub mod config;
mod connections;
pub mod flight;
mod floats;
mod folders;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
pub mod http;
mod import;
mod names;
mod notify;
mod paging;
pub mod pg;
mod readiness;
mod server;
mod shared;
mod shutdown;
mod socket;
mod stall;
mod strangers;
mod telemetry;
mod tls;

pub use auth::{Credentials, Principal, Scope, Scopes};
pub use config::{Config, NotifyConfig};
pub use connections::{ConnectionSlot, Connections};
pub use folders::Folders;
pub use import::{Counts, import};
pub use names::distinct_names;
pub use notify::{Notice, Notices, Recipient};
pub use server::Server;
pub use shared::{DoorLimits, Shared};
pub use shutdown::Shutdown;
pub use socket::socket_path;
pub use telemetry::{Telemetry, TelemetryOptions};
pub use tls::Tls;
