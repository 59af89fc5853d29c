//! Counts connections, so that neither a stranger nor a tenant can take them all.

use std::{
    collections::HashMap,
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use fineo::TenantId;

use crate::DoorLimits;

/// The most connections to the operator's socket.
const OPERATOR_MAX: usize = 64;

/// Who a slot is counted for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Owner {
    Everyone,
    Operator,
    Address(IpAddr),
    Tenant(TenantId),
}

/// The connections that are open, counted over all doors.
#[derive(Debug, Clone)]
pub struct Connections(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    open: Mutex<HashMap<Owner, usize>>,
    all_max: usize,
    address_max: usize,
    tenant_max: usize,
}

impl Connections {
    /// No connection, under `limits`.
    pub fn new(limits: &DoorLimits) -> Self {
        Self(Arc::new(Counts {
            open: Mutex::default(),
            all_max: limits.connections_max,
            address_max: limits.connections_per_address_max,
            tenant_max: limits.connections_per_tenant_max,
        }))
    }

    /// Counts a connection that was just accepted; none when there are too many, then it is to be closed.
    ///
    /// The connection is counted until the slot is dropped.
    pub fn admit(&self, address: IpAddr) -> Option<ConnectionSlot> {
        let address = host_of(address);
        self.take(vec![(Owner::Everyone, self.0.all_max), (Owner::Address(address), self.0.address_max)])
    }

    /// Counts a connection of the operator, for whom there is always room beside the others.
    pub(crate) fn admit_operator(&self) -> Option<ConnectionSlot> {
        self.take(vec![(Owner::Operator, OPERATOR_MAX)])
    }

    /// Counts one connection, or one request of a door without sessions, of `tenant`; none when it has too many.
    pub fn admit_tenant(&self, tenant: &TenantId) -> Option<ConnectionSlot> {
        self.take(vec![(Owner::Tenant(tenant.clone()), self.0.tenant_max)])
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        self.0.counts().get(&Owner::Everyone).copied().unwrap_or_default()
    }

    fn take(&self, wanted: Vec<(Owner, usize)>) -> Option<ConnectionSlot> {
        let mut open = self.0.counts();
        let has_room = |(owner, max): &(Owner, usize)| open.get(owner).copied().unwrap_or_default() < *max;
        if !wanted.iter().all(has_room) {
            return None;
        }
        let owners: Vec<Owner> = wanted.into_iter().map(|(owner, _)| owner).collect();
        for owner in &owners {
            *open.entry(owner.clone()).or_default() += 1;
        }
        Some(ConnectionSlot { counts: Arc::clone(&self.0), owners })
    }
}

/// What IPv4 addresses begin with that a translator made IPv6 addresses of (RFC 6052).
const TRANSLATED: [u16; 6] = [0x64, 0xff9b, 0, 0, 0, 0];

/// Whom `address` is counted for. An IPv6 host has all addresses of its network, but for private networks and links, which have many
/// hosts; an IPv4 address that comes through an IPv6 socket or a translator is the same address.
pub(crate) fn host_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, e, f, high, low] = address.segments();
            if [a, b, c, d, e, f] == TRANSLATED {
                let [[one, two], [three, four]] = [high.to_be_bytes(), low.to_be_bytes()];
                return IpAddr::from([one, two, three, four]);
            }
            if address.is_unique_local() || address.is_unicast_link_local() {
                return address.into();
            }
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        address => address,
    }
}

impl Counts {
    fn counts(&self) -> MutexGuard<'_, HashMap<Owner, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A counted connection; dropping it makes room.
pub struct ConnectionSlot {
    counts: Arc<Counts>,
    owners: Vec<Owner>,
}

impl fmt::Debug for ConnectionSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ConnectionSlot").field(&self.owners).finish()
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut open = self.counts.counts();
        for owner in &self.owners {
            if let Some(count) = open.get_mut(owner) {
                *count -= 1;
                if *count == 0 {
                    open.remove(owner);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
