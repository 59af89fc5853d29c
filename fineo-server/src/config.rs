//! The configuration file: TOML, typed, with nothing in it that has no meaning.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use fineo::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::{DoorLimits, TelemetryOptions};

mod doors;
mod read;

/// The longest time that can be set, about thirty years: clocks can still count it.
const SECONDS_MAX: u64 = 1_000_000_000;

/// Everything that can be configured. `docs/server.md` says what each setting does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Config {
    /// The HTTP door.
    pub http: DoorConfig,
    /// The Postgres door.
    pub postgres: DoorConfig,
    /// The Flight SQL door.
    pub flight: DoorConfig,
    /// Encryption.
    pub tls: TlsConfig,
    /// What is forbidden unless it is said in so many words.
    pub security: SecurityConfig,
    /// Columnar files, made beside the doors.
    pub compaction: CompactionConfig,
    /// Batches that are read from elsewhere.
    pub batches: BatchesConfig,
    /// Whom to tell what was found.
    pub notify: NotifyConfig,
    /// Bounds.
    pub limits: LimitsConfig,
    /// Logs, traces and counters.
    pub telemetry: TelemetryConfig,
}

/// A door.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DoorConfig {
    /// Whether it is opened.
    pub enabled: bool,
    /// Where, if not where it always is.
    #[serde(deserialize_with = "read::address")]
    pub address: Option<SocketAddr>,
}

impl Default for DoorConfig {
    fn default() -> Self {
        Self { enabled: true, address: None }
    }
}

impl DoorConfig {
    /// Where the door opens, `port` of this machine if the configuration does not say; none when it stays shut.
    fn place(&self, port: u16) -> Option<SocketAddr> {
        let usual = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        self.enabled.then_some(self.address.unwrap_or(usual))
    }
}

/// Encryption.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// The chain of certificates, PEM.
    pub certificate: Option<PathBuf>,
    /// The private key, PEM.
    pub key: Option<PathBuf>,
}

/// What is forbidden unless it is said in so many words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SecurityConfig {
    /// Whether other machines may connect although nothing is encrypted or nobody has a token.
    pub listen_beyond_loopback_without_tls_or_tokens: bool,
    /// Whether other machines may read the counters.
    pub public_metrics: bool,
}

/// How often columnar files are made of what was archived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CompactionConfig {
    /// Seconds between two runs; 0 for none.
    pub every_seconds: u64,
    /// So many days the archive keeps what the stages received; 0 for ever.
    pub archive_retain_days: u32,
}

impl Default for CompactionConfig {
    fn default() -> Self {
        Self { every_seconds: 300, archive_retain_days: 0 }
    }
}

impl CompactionConfig {
    /// How long between two runs; none where nothing is compacted.
    pub(crate) fn every(&self) -> Option<Duration> {
        (self.every_seconds > 0).then(|| Duration::from_secs(self.every_seconds))
    }

    /// How long the archive keeps what the stages received; none for ever.
    pub(crate) fn archive_retain(&self) -> Option<Duration> {
        let days = u64::from(self.archive_retain_days);
        (days > 0).then(|| Duration::from_secs(days * 86_400))
    }
}

/// Batches that are not sent, but read from a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BatchesConfig {
    /// URLs of folders that have a folder for each tenant: `file:///srv/drops`, `s3://bucket/drops`.
    pub folders: Vec<String>,
    /// The most bytes of an object as it is.
    pub object_bytes_max: u64,
    /// The most bytes of an object once decompressed.
    pub unpacked_bytes_max: u64,
}

impl Default for BatchesConfig {
    fn default() -> Self {
        Self { folders: Vec::new(), object_bytes_max: 256 << 20, unpacked_bytes_max: 1 << 30 }
    }
}

/// Whom to tell what was found, by a request of JSON.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NotifyConfig {
    /// Where tenants hear of new names, of values that do not fit and of malformed events.
    pub tenant_url: Option<String>,
    /// Where the operator hears of what failed.
    pub operator_url: Option<String>,
    /// What the requests prove themselves with.
    pub bearer_token: Option<String>,
}

impl fmt::Debug for NotifyConfig {
    /// Without what nobody else may know: the token, and URLs to which anybody may post who knows them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_set = |setting: &Option<String>| setting.as_ref().map(|_| "set");
        f.debug_struct("NotifyConfig")
            .field("tenant_url", &is_set(&self.tenant_url))
            .field("operator_url", &is_set(&self.operator_url))
            .field("bearer_token", &is_set(&self.bearer_token))
            .finish()
    }
}

impl NotifyConfig {
    /// Refuses what no request can be sent to.
    fn check(&self) -> Result<()> {
        for (setting, url) in [("notify.tenant_url", &self.tenant_url), ("notify.operator_url", &self.operator_url)] {
            // It is not shown: whoever knows it may post there.
            if url.as_deref().is_some_and(|url| !is_web(url)) {
                return Err(Error::invalid("a webhook is an http:// or https:// URL").with("setting", setting));
            }
        }
        let can_be_sent = |token: &String| reqwest::header::HeaderValue::from_str(token).is_ok();
        if !self.bearer_token.iter().all(can_be_sent) {
            return Err(Error::invalid(
                "notify.bearer_token has a character that no header may have, such as a line's end",
            ));
        }
        Ok(())
    }
}

/// Whether something on the web is meant.
fn is_web(url: &str) -> bool {
    reqwest::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// Bounds, as [`DoorLimits`] explains them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "docs/server.md and DoorLimits say what each is")]
pub struct LimitsConfig {
    pub connections_max: usize,
    pub connections_per_address_max: usize,
    pub connections_per_tenant_max: usize,
    pub hello_seconds_max: u64,
    pub stall_seconds_max: u64,
    pub body_seconds_max: u64,
    pub idle_seconds_max: u64,
    pub body_bytes_max: usize,
    pub unpacked_bytes_max: usize,
    pub events_bytes_max: usize,
    pub events_max: u64,
    pub sql_bytes_max: usize,
    pub freshness_wait_seconds: u64,
    pub freshness_wait_seconds_max: u64,
    pub drain_seconds_max: u64,
    pub query_seconds_max: u64,
    pub query_memory_bytes_max: usize,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        let limits = DoorLimits::default();
        Self {
            connections_max: limits.connections_max,
            connections_per_address_max: limits.connections_per_address_max,
            connections_per_tenant_max: limits.connections_per_tenant_max,
            hello_seconds_max: limits.hello_max.as_secs(),
            stall_seconds_max: limits.stall_max.as_secs(),
            body_seconds_max: limits.body_max.as_secs(),
            idle_seconds_max: limits.idle_max.as_secs(),
            body_bytes_max: limits.body_bytes_max,
            unpacked_bytes_max: limits.unpacked_bytes_max,
            events_bytes_max: limits.events_bytes_max,
            events_max: limits.events_max,
            sql_bytes_max: 256 << 10,
            freshness_wait_seconds: limits.freshness_wait.as_secs(),
            freshness_wait_seconds_max: limits.freshness_wait_max.as_secs(),
            drain_seconds_max: limits.drain_max.as_secs(),
            query_seconds_max: 300,
            query_memory_bytes_max: 512 << 20,
        }
    }
}

impl LimitsConfig {
    /// Refuses bounds with which nobody could do anything.
    fn check(&self) -> Result<()> {
        let has_room = [
            ("limits.connections_max", self.connections_max > 0),
            ("limits.connections_per_address_max", self.connections_per_address_max > 0),
            ("limits.connections_per_tenant_max", self.connections_per_tenant_max > 0),
            ("limits.hello_seconds_max", self.hello_seconds_max > 0),
            ("limits.stall_seconds_max", self.stall_seconds_max > 0),
            ("limits.body_seconds_max", self.body_seconds_max > 0),
            ("limits.idle_seconds_max", self.idle_seconds_max > 0),
            ("limits.body_bytes_max", self.body_bytes_max > 0),
            ("limits.unpacked_bytes_max", self.unpacked_bytes_max > 0),
            ("limits.events_bytes_max", self.events_bytes_max > 0),
            ("limits.events_max", self.events_max > 0),
            ("limits.sql_bytes_max", self.sql_bytes_max > 0),
            ("limits.query_seconds_max", self.query_seconds_max > 0),
            ("limits.query_memory_bytes_max", self.query_memory_bytes_max > 0),
        ];
        if let Some((setting, _)) = has_room.into_iter().find(|(_, has_room)| !has_room) {
            return Err(Error::invalid("this limit is at least 1").with("setting", setting).with("value", 0));
        }
        let times = [
            ("limits.hello_seconds_max", self.hello_seconds_max),
            ("limits.stall_seconds_max", self.stall_seconds_max),
            ("limits.body_seconds_max", self.body_seconds_max),
            ("limits.idle_seconds_max", self.idle_seconds_max),
            ("limits.freshness_wait_seconds", self.freshness_wait_seconds),
            ("limits.freshness_wait_seconds_max", self.freshness_wait_seconds_max),
            ("limits.drain_seconds_max", self.drain_seconds_max),
            ("limits.query_seconds_max", self.query_seconds_max),
        ];
        times.into_iter().try_for_each(|(setting, seconds)| check_seconds(setting, seconds))
    }
}

/// Refuses a time that no clock can count to.
fn check_seconds(setting: &str, seconds: u64) -> Result<()> {
    if seconds <= SECONDS_MAX {
        return Ok(());
    }
    let error = Error::invalid(format!("this time is at most {SECONDS_MAX} seconds"));
    Err(error.with("setting", setting).with("value", seconds))
}

/// Logs, traces and counters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetryConfig {
    /// What is logged, in the words of `RUST_LOG`.
    pub log: String,
    /// Where traces go by OTLP over gRPC.
    pub otlp_endpoint: Option<String>,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self { log: "warn,fineo_server=info".to_owned(), otlp_endpoint: None }
    }
}

impl Config {
    /// Reads the file `path`.
    ///
    /// # Errors
    ///
    /// `Invalid`, with the line and what would be legal there.
    pub fn read(path: &Path) -> Result<Self> {
        let invalid = |message: String| Error::invalid(message).with("file", path.display());
        let text = std::fs::read_to_string(path)
            .map_err(|source| invalid("the configuration cannot be read".to_owned()).with_source(source))?;
        Self::parse(&text).map_err(|error| error.with("file", path.display()))
    }

    /// Reads a configuration.
    ///
    /// # Errors
    ///
    /// As [`Config::read`].
    pub fn parse(text: &str) -> Result<Self> {
        let config = read::config(text)?;
        let is_folder = |url: &String| url.starts_with("file:///") || url.starts_with("s3://");
        if let Some(url) = config.batches.folders.iter().find(|url| !is_folder(url)) {
            return Err(Error::invalid("batches.folders are file:///… or s3://…").with("folder", url));
        }
        if config.tls.certificate.is_some() != config.tls.key.is_some() {
            return Err(Error::invalid("tls.certificate and tls.key go together"));
        }
        config.notify.check()?;
        config.limits.check()?;
        if let Some(url) = config.telemetry.otlp_endpoint.as_deref().filter(|url| !is_web(url)) {
            let error = Error::invalid("traces go to an http:// or https:// URL, such as http://127.0.0.1:4317");
            // What stands before the host may be a password.
            return Err(error.with("telemetry.otlp_endpoint", url.rsplit('@').next().unwrap_or_default()));
        }
        check_seconds("compaction.every_seconds", config.compaction.every_seconds)?;
        Ok(config)
    }

    /// Where the HTTP door opens.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http.place(8080)
    }

    /// Where the Postgres door opens.
    pub fn postgres_address(&self) -> Option<SocketAddr> {
        self.postgres.place(5433)
    }

    /// Where the Flight SQL door opens.
    pub fn flight_address(&self) -> Option<SocketAddr> {
        self.flight.place(50051)
    }

    /// The bounds of the doors.
    pub fn door_limits(&self) -> DoorLimits {
        let limits = &self.limits;
        DoorLimits {
            connections_max: limits.connections_max,
            connections_per_address_max: limits.connections_per_address_max,
            connections_per_tenant_max: limits.connections_per_tenant_max,
            hello_max: Duration::from_secs(limits.hello_seconds_max),
            stall_max: Duration::from_secs(limits.stall_seconds_max),
            body_max: Duration::from_secs(limits.body_seconds_max),
            idle_max: Duration::from_secs(limits.idle_seconds_max),
            body_bytes_max: limits.body_bytes_max,
            unpacked_bytes_max: limits.unpacked_bytes_max,
            events_bytes_max: limits.events_bytes_max,
            events_max: limits.events_max,
            freshness_wait: Duration::from_secs(limits.freshness_wait_seconds),
            freshness_wait_max: Duration::from_secs(limits.freshness_wait_seconds_max),
            drain_max: Duration::from_secs(limits.drain_seconds_max),
            are_metrics_public: self.security.public_metrics,
            ..DoorLimits::default()
        }
    }

    /// How the process tells what it does.
    pub fn telemetry_options(&self) -> TelemetryOptions {
        let mut options = TelemetryOptions::default();
        options.log.clone_from(&self.telemetry.log);
        options.otlp_endpoint.clone_from(&self.telemetry.otlp_endpoint);
        options
    }
}

#[cfg(test)]
mod tests;
