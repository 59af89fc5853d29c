//! What all doors work on.

use std::{sync::Arc, time::Duration};

use fineo::{Clock, Entropy, Fineo};

use crate::{Connections, Credentials, Folders, Tls, readiness::Readiness};

/// What all doors work on. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Shared {
    /// The stores, the stages and SQL.
    pub fineo: Arc<Fineo>,
    /// Who may come in.
    pub credentials: Arc<Credentials>,
    /// How much one caller may ask for.
    pub limits: Arc<DoorLimits>,
    /// The certificate, when connections are encrypted.
    pub tls: Option<Tls>,
    /// The connections that are open, over all doors.
    pub connections: Connections,
    /// Where batches may be read from.
    pub folders: Arc<Folders>,
    /// Whether events get through.
    pub(crate) readiness: Arc<Readiness>,
    /// The only source of time.
    pub clock: Arc<dyn Clock>,
    /// The only source of chance.
    pub entropy: Arc<dyn Entropy>,
}

impl Shared {
    /// Puts `fineo` behind doors that know `credentials`.
    pub fn new(fineo: Arc<Fineo>, credentials: Arc<Credentials>, limits: DoorLimits, tls: Option<Tls>) -> Self {
        let clock = Arc::clone(credentials.clock());
        let entropy = Arc::clone(credentials.entropy());
        let connections = Connections::new(&limits);
        Self {
            fineo,
            credentials,
            limits: Arc::new(limits),
            tls,
            connections,
            folders: Arc::default(),
            readiness: Arc::default(),
            clock,
            entropy,
        }
    }
}

/// Bounds on what callers may ask of the doors.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DoorLimits {
    /// The most connections of all doors.
    pub connections_max: usize,
    /// The most connections of one address.
    pub connections_per_address_max: usize,
    /// The most sessions, or requests at a time over HTTP and Flight, of one tenant.
    pub connections_per_tenant_max: usize,
    /// How long a stranger may take to say who it is, and a request to say its headers.
    pub hello_max: Duration,
    /// How long a peer may take nothing of an answer, and a compressed batch over Flight wait for memory.
    pub stall_max: Duration,
    /// How long a request may take to send its body, or a MiB of it where events are taken in as they come.
    pub body_max: Duration,
    /// How long a connection without work is kept.
    pub idle_max: Duration,
    /// The most bytes of a request's body that is read as a whole, as sent.
    pub body_bytes_max: usize,
    /// The most bytes of such a body once decompressed.
    pub unpacked_bytes_max: usize,
    /// The most bytes of the events of a request, both as sent and once decompressed.
    pub events_bytes_max: usize,
    /// The most events of a request.
    pub events_max: u64,
    /// How long a query with a position waits for that position when it says no time of its own.
    pub freshness_wait: Duration,
    /// How long a query may ask to wait for a position.
    pub freshness_wait_max: Duration,
    /// Whether other machines may read the counters.
    pub are_metrics_public: bool,
    /// How long the doors may take to finish when the server ends.
    pub drain_max: Duration,
}

impl Default for DoorLimits {
    fn default() -> Self {
        Self {
            connections_max: 1_024,
            connections_per_address_max: 512,
            connections_per_tenant_max: 256,
            hello_max: Duration::from_secs(10),
            stall_max: Duration::from_secs(30),
            body_max: Duration::from_secs(60),
            idle_max: Duration::from_secs(600),
            body_bytes_max: 10 * 1024 * 1024,
            unpacked_bytes_max: 10 * 1024 * 1024,
            events_bytes_max: 10 * 1024 * 1024,
            events_max: 10_000,
            freshness_wait: Duration::from_secs(10),
            freshness_wait_max: Duration::from_secs(60),
            are_metrics_public: false,
            drain_max: Duration::from_secs(20),
        }
    }
}
