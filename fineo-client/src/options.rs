//! How long a client waits and how often it tries.

use std::{sync::Arc, time::Duration};

use fineo_core::{Clock, Entropy, SystemClock, SystemEntropy};

/// How a client asks.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ClientOptions {
    /// The most time until there is a connection.
    pub connect_time_max: Duration,
    /// The most time of a call with all its tries: of a question, of a declaration, of each request with events.
    pub time_max: Duration,
    /// How often a call is tried; once is no try more.
    pub tries_max: u32,
    /// How long a body of events is at least that is packed with gzip. Shorter ones are sent as they are.
    pub gzip_bytes_min: usize,
    /// The source of time.
    pub clock: Arc<dyn Clock>,
    /// The source of chance.
    pub entropy: Arc<dyn Entropy>,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            connect_time_max: Duration::from_secs(10),
            time_max: Duration::from_secs(60),
            tries_max: 6,
            gzip_bytes_min: 1 << 10,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy::new()),
        }
    }
}

impl ClientOptions {
    /// Changes how long a connection may take.
    #[must_use]
    pub fn with_connect_time_max(mut self, time_max: Duration) -> Self {
        self.connect_time_max = time_max;
        self
    }

    /// Changes how long a call may take with all its tries.
    #[must_use]
    pub fn with_time_max(mut self, time_max: Duration) -> Self {
        self.time_max = time_max;
        self
    }

    /// Changes how often a call is tried: 1 turns trying again off.
    #[must_use]
    pub fn with_tries_max(mut self, tries_max: u32) -> Self {
        self.tries_max = tries_max;
        self
    }

    /// Changes from how many bytes on events are packed: `usize::MAX` turns packing off.
    #[must_use]
    pub fn with_gzip_bytes_min(mut self, bytes_min: usize) -> Self {
        self.gzip_bytes_min = bytes_min;
        self
    }

    /// Another source of time.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Another source of chance.
    #[must_use]
    pub fn with_entropy(mut self, entropy: Arc<dyn Entropy>) -> Self {
        self.entropy = entropy;
        self
    }
}
