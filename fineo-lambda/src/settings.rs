//! What the functions are told by their environment.

use std::sync::Arc;

use fineo_backend_aws::{Aws, AwsOptions};
use fineo_compact::FiledRows;
use fineo_core::{Error, Result, SystemClock, SystemEntropy, TenantId};
use fineo_ingest::{PipelineOptions, PipelineParts, Routing};
use fineo_table::Tables;

use crate::tables_of;

/// The settings of a function, from variables of its environment.
///
/// | variable | says |
/// |---|---|
/// | `FINEO_AWS_PREFIX` | what the names of streams and tables begin with |
/// | `FINEO_AWS_BUCKET` | the bucket of archive, tables and manifests; the prefix without it |
/// | `FINEO_AWS_DELIVERY` | the delivery stream of Firehose that writes the archive; it is written directly without it |
/// | `FINEO_AWS_SPREAD` | over how many partitions a day of a metric's rows spreads; 4 without it |
/// | `FINEO_INBOX` | the folder that files are imported from: `inbox` without it |
/// | `FINEO_TENANT` | whose the events of every file are; without it the folder in the inbox says so |
/// | `FINEO_TENANT_FIELD` | the field of each event that says whose it is |
/// | `FINEO_METRIC` | the metric of imported events that name none |
/// | `FINEO_LOG` | how much is logged: `info` without it |
///
/// Region, credentials and endpoints come from the SDK's own chain, as Lambda sets them.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Settings {
    /// How the instance lives on AWS.
    pub aws: AwsOptions,
    /// What is imported, and whose it is.
    pub inbox: Inbox,
}

/// Which objects are imported, and whose they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inbox {
    /// The folder, without slashes around it.
    pub folder: String,
    /// Whose the events are; none for the tenant whose folder in the inbox the object is in.
    pub routing: Option<Routing>,
    /// The metric of events that name none.
    pub metric: Option<String>,
}

impl Settings {
    /// Reads the settings from the environment of the process.
    ///
    /// # Errors
    ///
    /// `Invalid` when one is missing or cannot be.
    pub fn from_environment() -> Result<Self> {
        Self::read(|name| std::env::var(name).ok())
    }

    /// Reads the settings that `variable` tells.
    ///
    /// # Errors
    ///
    /// `Invalid` when one is missing or cannot be.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let variable = |name: &str| variable(name).filter(|text| !text.is_empty());
        let prefix = variable("FINEO_AWS_PREFIX").ok_or_else(|| {
            Error::invalid("FINEO_AWS_PREFIX is not set: say what the names of streams and tables begin with")
        })?;
        let mut aws = AwsOptions::new(prefix).with_creates_missing(false);
        aws = aws.with_archive_delivery(variable("FINEO_AWS_DELIVERY"));
        if let Some(bucket) = variable("FINEO_AWS_BUCKET") {
            aws = aws.with_bucket(bucket);
        }
        if let Some(text) = variable("FINEO_AWS_SPREAD") {
            let spread =
                text.parse().map_err(|_| Error::invalid("FINEO_AWS_SPREAD is no number").with("text", &text))?;
            aws = aws.with_spread(spread);
        }
        let routing = match (variable("FINEO_TENANT"), variable("FINEO_TENANT_FIELD")) {
            (None, None) => None,
            (Some(tenant), None) => Some(Routing::Tenant(TenantId::new(&tenant)?)),
            (None, Some(field)) => Some(Routing::Field(field)),
            (Some(_), Some(_)) => {
                return Err(Error::invalid("FINEO_TENANT and FINEO_TENANT_FIELD are both set: choose one"));
            }
        };
        let folder = variable("FINEO_INBOX").unwrap_or_else(|| "inbox".to_owned());
        let folder = folder.trim_matches('/').to_owned();
        Ok(Self { aws, inbox: Inbox { folder, routing, metric: variable("FINEO_METRIC") } })
    }

    /// Connects to the instance that the settings name. Nothing is asked of AWS yet, so that a cold start is short.
    ///
    /// # Errors
    ///
    /// `Invalid` when a name cannot be, or no region is configured.
    pub async fn connect(&self) -> Result<(Aws, PipelineParts)> {
        let aws = Aws::connect(self.aws.clone()).await?;
        let mut parts = PipelineParts::new(aws.stores(), Arc::new(SystemClock), Arc::new(SystemEntropy::new()));
        let (clock, entropy) = (Arc::clone(&parts.clock), Arc::clone(&parts.entropy));
        parts.files = Arc::new(FiledRows(Tables::new(tables_of(&aws)?, Arc::clone(&parts.repo), clock, entropy)));
        Ok((aws, parts))
    }

    /// How the stages work: under the names of every other worker.
    pub fn pipeline(&self) -> PipelineOptions {
        PipelineOptions::default().with_is_alone(false)
    }
}

#[cfg(test)]
mod tests {
    //! Settings and what is wrong with them.

    use super::Settings;

    fn check(variables: &[(&str, &str)], expected: Result<&str, &str>) {
        let read = Settings::read(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, text)| (*text).to_owned())
        });
        let shown = read.map(|settings| {
            let (aws, inbox) = (settings.aws, settings.inbox);
            format!(
                "{} {} {:?} {} {} {:?} {:?}",
                aws.prefix, aws.bucket, aws.archive_delivery, aws.spread, inbox.folder, inbox.routing, inbox.metric
            )
        });
        assert_eq!(shown.as_deref().map_err(|error| error.message()), expected);
    }

    #[test]
    fn a_prefix_is_enough() {
        check(&[("FINEO_AWS_PREFIX", "acme")], Ok("acme acme None 4 inbox None None"));
    }

    #[test]
    fn every_setting_is_read() {
        let all = [
            ("FINEO_AWS_PREFIX", "acme"),
            ("FINEO_AWS_BUCKET", "acme-data"),
            ("FINEO_AWS_DELIVERY", "acme-archive"),
            ("FINEO_AWS_SPREAD", "8"),
            ("FINEO_INBOX", "/from/partners/"),
            ("FINEO_TENANT_FIELD", "owner"),
            ("FINEO_METRIC", "meter"),
        ];
        check(&all, Ok("acme acme-data Some(\"acme-archive\") 8 from/partners Some(Field(\"owner\")) Some(\"meter\")"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let missing = "FINEO_AWS_PREFIX is not set: say what the names of streams and tables begin with";
        check(&[], Err(missing));
        check(&[("FINEO_AWS_PREFIX", "")], Err(missing));
        check(&[("FINEO_AWS_PREFIX", "a"), ("FINEO_AWS_SPREAD", "many")], Err("FINEO_AWS_SPREAD is no number"));
        let both = [("FINEO_AWS_PREFIX", "a"), ("FINEO_TENANT", "t"), ("FINEO_TENANT_FIELD", "f")];
        check(&both, Err("FINEO_TENANT and FINEO_TENANT_FIELD are both set: choose one"));
    }
}
