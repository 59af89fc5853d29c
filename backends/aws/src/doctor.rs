//! Looks at everything that could keep an instance from working, and says what to fix.

use std::{fmt, time::Duration};

use aws_sdk_dynamodb::types::{BillingMode, TableDescription};
use fineo_core::{Error, ErrorKind, Result, Timestamp};
use object_store::{ObjectStoreExt, PutPayload, path::Path};

use crate::{Aws, bootstrap, bucket::UPLOADS, failure, firehose};

/// How far the clocks may differ. AWS refuses calls that are a quarter of an hour off.
const SKEW_MAX: Duration = Duration::from_secs(120);

/// How one look ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Good,
    /// It works, but something should be done.
    Warning,
    /// It does not work until something is done.
    Bad,
}

/// What one look found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub subject: String,
    /// How it ended.
    pub verdict: Verdict,
    /// What was found, and what to do about it.
    pub message: String,
}

/// Everything that was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnosis {
    /// In the order in which it was looked at.
    pub findings: Vec<Finding>,
}

impl Diagnosis {
    /// Whether nothing keeps the instance from working.
    pub fn is_good(&self) -> bool {
        self.findings.iter().all(|finding| finding.verdict != Verdict::Bad)
    }

    fn add(&mut self, subject: impl Into<String>, verdict: Verdict, message: impl Into<String>) {
        self.findings.push(Finding { subject: subject.into(), verdict, message: message.into() });
    }

    fn add_result(&mut self, subject: impl Into<String>, result: Result<(Verdict, String)>) {
        match result {
            Ok((verdict, message)) => self.add(subject, verdict, message),
            Err(error) => {
                if error.kind() == ErrorKind::NotFound {
                    self.add(subject, Verdict::Bad, "is missing: `fineo bootstrap` makes it");
                    return;
                }
                let hint = error.hint().map(str::to_owned);
                let advice = hint.map(|hint| format!(": {hint}")).unwrap_or_default();
                self.add(subject, Verdict::Bad, format!("{}{advice}", error.message()) + &because(&error));
            }
        }
    }
}

fn because(error: &Error) -> String {
    use std::error::Error as _;
    let said = error.source().map(ToString::to_string).filter(|said| !said.is_empty());
    said.map(|said| format!(" ({said})")).unwrap_or_default()
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            let mark = match finding.verdict {
                Verdict::Good => "ok  ",
                Verdict::Warning => "warn",
                Verdict::Bad => "BAD ",
            };
            writeln!(f, "{mark}  {}: {}", finding.subject, finding.message)?;
        }
        Ok(())
    }
}

pub(crate) async fn diagnose(aws: &Aws) -> Diagnosis {
    let mut diagnosis = Diagnosis::default();
    let region = &aws.clients.region;
    if let Err(error) = aws.bucket.check_credentials().await {
        // Every other look would say the same.
        diagnosis.add_result("credentials", Err(error));
        return diagnosis;
    }
    diagnosis.add("credentials", Verdict::Good, format!("there are some, to be used in {region}"));
    for name in ["raw", "staged"] {
        let name = aws.stream_name(name);
        diagnosis.add_result(format!("stream {name}"), stream(aws, &name).await);
    }
    for name in ["repo", "rows"] {
        diagnosis.add_result(format!("table {}", aws.table(name).name), table(aws, name).await);
    }
    let bucket = aws.bucket.name();
    let there = aws.bucket.check().await.map(|()| (Verdict::Good, "can be reached".to_owned()));
    let can_be_reached = there.is_ok();
    diagnosis.add_result(format!("bucket {bucket}"), there);
    if !can_be_reached {
        return diagnosis;
    }
    let tried = aws.bucket.try_out().await.map(|()| (Verdict::Good, "are kept".to_owned()));
    diagnosis.add_result(format!("conditional writes in {bucket}"), tried);
    if let Some(name) = &aws.options.archive_delivery {
        let checked = firehose::check(aws, name).await.map(|message| (Verdict::Good, message));
        diagnosis.add_result(format!("delivery stream {name}"), checked);
    }
    diagnosis.add_result("clock", clock(aws).await);
    diagnosis
}

async fn stream(aws: &Aws, name: &str) -> Result<(Verdict, String)> {
    let call = aws.clients.kinesis.describe_stream_summary().stream_name(name).send().await;
    let answer = call.map_err(|error| failure::kinesis(error).with("stream", name))?;
    let Some(found) = answer.stream_description_summary() else {
        return Err(Error::internal("Kinesis did not describe the stream"));
    };
    let (status, shards, hours) =
        (found.stream_status().as_str(), found.open_shard_count(), found.retention_period_hours());
    let is_encrypted = found.encryption_type().is_some_and(|kind| kind.as_str() == "KMS");
    let message = format!("{status}, {shards} open shards, keeps entries for {hours} hours");
    Ok(if status != "ACTIVE" {
        (Verdict::Warning, message)
    } else if !is_encrypted {
        (Verdict::Warning, format!("{message}; not encrypted: start its encryption with a KMS key"))
    } else if hours <= 24 {
        (Verdict::Good, format!("{message}; longer would give more time to mend an outage"))
    } else {
        (Verdict::Good, message)
    })
}

/// Tries a write and a strong read beside describing the table; of the repository, also races.
async fn table(aws: &Aws, name: &str) -> Result<(Verdict, String)> {
    let capacity = capacity(&bootstrap::describe_table(aws, name).await?);
    if name == "repo" {
        aws.repo().try_out(aws.options.clock.now()).await?;
        return Ok((Verdict::Good, format!("can be written and read, and keeps the conditions of writes; {capacity}")));
    }
    aws.nearline().try_out().await?;
    Ok((Verdict::Good, format!("can be written and read, and keeps numbers as they are; {capacity}")))
}

fn capacity(table: &TableDescription) -> String {
    let mode = table.billing_mode_summary().and_then(|summary| summary.billing_mode());
    let units = table.provisioned_throughput().map(|units| (units.read_capacity_units(), units.write_capacity_units()));
    match units {
        // A table that never had another mode does not tell it.
        Some((Some(reads), Some(writes))) if mode != Some(&BillingMode::PayPerRequest) && reads > 0 => {
            format!("takes {reads} units of reading and {writes} of writing a second")
        }
        _ => "takes what comes, charged by request".to_owned(),
    }
}

/// Compares this machine's clock with that of S3.
async fn clock(aws: &Aws) -> Result<(Verdict, String)> {
    let store = aws.bucket.store();
    let id = u128::from_be_bytes(aws.options.entropy.id());
    let path = Path::from(format!("{UPLOADS}/clock-{id:032x}"));
    store.put(&path, PutPayload::from_static(b"")).await.map_err(failure::s3)?;
    let meta = store.head(&path).await.map_err(failure::s3)?;
    store.delete(&path).await.map_err(failure::s3)?;
    let there = Timestamp::saturating_from_micros(meta.last_modified.timestamp_micros());
    let skew = Duration::from_micros(aws.options.clock.now().micros().abs_diff(there.micros()));
    Ok(if skew > SKEW_MAX {
        (Verdict::Bad, format!("differs by {} seconds from S3: set this machine's clock", skew.as_secs()))
    } else {
        (Verdict::Good, format!("differs by {} seconds from S3", skew.as_secs()))
    })
}
