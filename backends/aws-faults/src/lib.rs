//! AWS's bad days in front of an emulator: a proxy that keeps the quotas of shards, refuses some calls and parts of others,
//! lets iterators expire, keeps objects in cold classes, and loses replies of calls that were carried out; and counts what it is
//! asked.
//!
//! No emulator does any of it. What goes wrong is chosen by a seed, which a test prints:
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use fineo_aws_faults::{FaultProxy, Plan};
//!
//! let proxy = FaultProxy::start("http://127.0.0.1:4568", Plan::hard(7)).await?;
//! println!("AWS_ENDPOINT_URL_KINESIS={}", proxy.url());
//! // … work …
//! println!("{}", proxy.tally());
//! # Ok(()) }
//! ```

mod call;
mod glacier;
mod kinesis;
mod plan;
mod proxy;
mod quota;
mod refusal;
mod tally;

pub use glacier::Cold;
pub use plan::Plan;
pub use proxy::FaultProxy;
pub use tally::{Calls, Tally};
