//! Counters for Prometheus, and logs and traces for whoever looks.

use std::sync::OnceLock;

use fineo::{Error, Result};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

/// The counters of this process.
pub(crate) fn metrics() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            let recorder = PrometheusBuilder::new().build_recorder();
            let handle = recorder.handle();
            // An application that counts with a recorder of its own keeps it; then ours stays empty.
            let _ = metrics::set_global_recorder(recorder);
            handle
        })
        .clone()
}

/// How the process tells what it does.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct TelemetryOptions {
    /// What is logged, in the words of `RUST_LOG`.
    pub log: String,
    /// Whether log lines are JSON.
    pub is_json: bool,
    /// Where traces go by OTLP over gRPC, such as `http://127.0.0.1:4317`; none keeps them.
    pub otlp_endpoint: Option<String>,
}

/// What has to be flushed before the process ends.
#[derive(Debug, Default)]
pub struct Telemetry(Option<SdkTracerProvider>);

impl Telemetry {
    /// Begins to log to standard error and, where it is asked for, to export traces. Once per process.
    ///
    /// # Errors
    ///
    /// `Invalid` when the filter or the endpoint has no meaning, or logging has begun already.
    pub fn begin(options: &TelemetryOptions) -> Result<Self> {
        let invalid = |what: &'static str| move |source| Error::invalid(what).with_source(StdError(source));
        let filter = EnvFilter::try_new(&options.log).map_err(|error| {
            let hint = "write it such as warn,fineo_server=info; levels are off, error, warn, info, debug and trace, and \
                        RUST_LOG goes before the setting";
            let refused = invalid("not a log filter")(error.to_string());
            refused.with("telemetry.log", &options.log).with("hint", hint)
        })?;
        let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
        let lines = match options.is_json {
            true => lines.with_target(true).boxed(),
            false => lines.boxed(),
        };
        let provider = options.otlp_endpoint.as_deref().map(exporter).transpose()?;
        let traces =
            provider.as_ref().map(|provider| tracing_opentelemetry::layer().with_tracer(provider.tracer("fineo")));
        tracing_subscriber::registry()
            .with(filter)
            .with(lines)
            .with(traces)
            .try_init()
            .map_err(|error| invalid("logging has begun already")(error.to_string()))?;
        Ok(Self(provider))
    }

    /// Sends what has not been sent yet.
    pub fn end(self) {
        if let Some(provider) = self.0
            && let Err(error) = provider.shutdown()
        {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

fn exporter(endpoint: &str) -> Result<SdkTracerProvider> {
    let exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint).build().map_err(|error| {
        Error::invalid("traces cannot be sent there")
            .with("telemetry.otlp_endpoint", endpoint)
            .with_source(StdError(error.to_string()))
    })?;
    let resource = Resource::builder().with_service_name("fineo").build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}

/// The text of an error whose type does not matter.
#[derive(Debug)]
struct StdError(String);

impl std::fmt::Display for StdError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StdError {}
