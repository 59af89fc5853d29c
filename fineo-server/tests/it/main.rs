//! The doors, from outside.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod again;
mod client;
mod desk;
mod ended;
mod events;
mod flight;
mod full;
mod hostile;
mod http2;
mod operator;
mod patience;
mod pg;
mod pg_catalog;
mod pg_values;
mod query;
mod readiness;
mod rig;
mod roles;
mod schema;
mod session;
mod slices;
mod telemetry;
mod tls;
mod wire;
