//! Whether a delivery stream brings segments to where they are filed, as they were sent.

use aws_sdk_firehose::types::{CompressionFormat, DeliveryStreamStatus, ExtendedS3DestinationDescription};
use fineo_core::{Error, ErrorKind, Result};

use super::delivered::DELIVERED;
use crate::{Aws, failure};

const HOW: &str = "docs/backends/aws.md says how to make one: \"The archive through Firehose\"";

/// What is good about the delivery stream `name`.
///
/// # Errors
///
/// `Invalid` when there is none, or it would not bring segments as they were sent; `Unavailable` while it is made; or a
/// failure of the service.
pub(crate) async fn check(aws: &Aws, name: &str) -> Result<String> {
    let asked = aws.clients.firehose.describe_delivery_stream().delivery_stream_name(name).send().await;
    let answer = match asked.map_err(failure::firehose) {
        Ok(answer) => answer,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(Error::invalid("there is no such delivery stream").with("delivery", name).with("hint", HOW));
        }
        Err(error) => return Err(error.with("delivery", name)),
    };
    let found = answer
        .delivery_stream_description()
        .ok_or_else(|| Error::internal("Firehose did not describe the delivery stream").with("delivery", name))?;
    let status = found.delivery_stream_status();
    match status {
        DeliveryStreamStatus::Active => {}
        DeliveryStreamStatus::Creating => {
            return Err(Error::unavailable("the delivery stream is still being made").with("delivery", name));
        }
        other => return Err(unfit(name, "does not take records", other.as_str())),
    }
    let [destination] = found.destinations() else {
        return Err(unfit(name, "has not one destination", &found.destinations().len().to_string()));
    };
    let Some(s3) = destination.extended_s3_destination_description() else {
        return Err(unfit(name, "does not deliver to S3", "an extended S3 destination is needed"));
    };
    check_destination(name, s3, aws.bucket.name(), &format!("{}/{DELIVERED}/", aws.bucket.root()))?;
    let hints = s3.buffering_hints();
    let seconds = hints.and_then(|hints| hints.interval_in_seconds()).unwrap_or(300);
    Ok(format!(
        "delivers to s3://{}/{} after {seconds} seconds at most",
        aws.bucket.name(),
        s3.prefix().unwrap_or_default()
    ))
}

pub(super) fn check_destination(
    name: &str,
    s3: &ExtendedS3DestinationDescription,
    bucket: &str,
    folder: &str,
) -> Result<()> {
    if s3.bucket_arn().rsplit(':').next() != Some(bucket) {
        return Err(unfit(name, "delivers to another bucket", s3.bucket_arn()));
    }
    let prefix = s3.prefix().unwrap_or_default();
    if !prefix.starts_with(folder) {
        return Err(unfit(name, "delivers to another folder", prefix).with("wanted", folder));
    }
    if *s3.compression_format() != CompressionFormat::Uncompressed {
        return Err(unfit(name, "compresses", s3.compression_format().as_str()));
    }
    if s3.processing_configuration().is_some_and(|processing| processing.enabled() == Some(true)) {
        return Err(unfit(name, "processes records", "its processing is enabled"));
    }
    if s3.data_format_conversion_configuration().is_some_and(|conversion| conversion.enabled() == Some(true)) {
        return Err(unfit(name, "converts records", "its conversion of formats is enabled"));
    }
    Ok(())
}

fn unfit(name: &str, what: &str, found: &str) -> Error {
    let error = Error::invalid(format!("the delivery stream cannot write the archive: it {what}"));
    error.with("delivery", name).with("found", found).with("hint", HOW)
}
