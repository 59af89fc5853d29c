//! The words of `fineo serve`.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;

const AFTER_HELP: &str = "\
Examples:
  fineo token create --tenant acme        prints a token: user acme, password the token
  fineo serve
  curl -H \"Authorization: Bearer $TOKEN\" --json '{\"metrictype\":\"thermostat\",\"temp\":21,\"timestamp\":1700000000000}' \\
       http://127.0.0.1:8080/v1/events

While it runs, the other verbs reach it through a socket in the data directory. SIGTERM or Ctrl-C lets what is
under way finish, drains and checkpoints. docs/server.md lists the settings of the configuration file.";

/// Serve events in and SQL out over the network.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ServeArgs {
    /// The configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Where the HTTP door opens [default: 127.0.0.1:8080]
    #[arg(long, value_parser = address, value_name = "ADDRESS")]
    pub(crate) http_addr: Option<SocketAddr>,

    /// Where the Postgres door opens [default: 127.0.0.1:5433]
    #[arg(long, value_parser = address, value_name = "ADDRESS")]
    pub(crate) pg_addr: Option<SocketAddr>,

    /// Where the Flight SQL door opens [default: 127.0.0.1:50051]
    #[arg(long, value_parser = address, value_name = "ADDRESS")]
    pub(crate) flight_addr: Option<SocketAddr>,

    /// Let other machines connect although nothing is encrypted or nobody has a token
    #[arg(long)]
    pub(crate) listen_beyond_loopback_without_tls_or_tokens: bool,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "not an address and a port: give one such as 127.0.0.1:8080 or [::1]:8080".to_owned())
}
