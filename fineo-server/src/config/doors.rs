//! Which doors can be open at once.

use std::net::SocketAddr;

use fineo::{Error, Result};

use super::Config;

impl Config {
    /// Refuses doors that cannot all be opened.
    ///
    /// # Errors
    ///
    /// `Invalid`, with the settings.
    pub fn check_doors(&self) -> Result<()> {
        let doors =
            [("http", self.http_address()), ("postgres", self.postgres_address()), ("flight", self.flight_address())];
        let open: Vec<_> = doors.into_iter().filter_map(|(door, address)| Some((door, address?))).collect();
        for (index, (door, address)) in open.iter().enumerate() {
            if let Some((other, _)) = open[..index].iter().find(|(_, other)| are_one(address, other)) {
                return Err(Error::invalid("two doors cannot have one address: choose another port for one of them")
                    .with("settings", format!("{other}.address, {door}.address"))
                    .with("address", address));
            }
        }
        Ok(())
    }

    /// Refuses that no door is open, where there is no operator's socket either.
    pub(crate) fn check_reachable(&self, has_socket: bool) -> Result<()> {
        let doors = [self.http_address(), self.postgres_address(), self.flight_address()];
        if has_socket || doors.iter().any(Option::is_some) {
            return Ok(());
        }
        let error = Error::invalid("no door is open, so nothing comes in and nobody is answered");
        Err(error.with("hint", "set http.enabled, postgres.enabled or flight.enabled to true"))
    }
}

/// Whether only one of two doors can be there; of port 0 each gets a port of its own.
fn are_one(one: &SocketAddr, other: &SocketAddr) -> bool {
    let is_everywhere = one.ip().is_unspecified() || other.ip().is_unspecified();
    let is_there = one.ip() == other.ip() || (is_everywhere && one.is_ipv4() == other.is_ipv4());
    one.port() != 0 && one.port() == other.port() && is_there
}
