//! What an error of AWS means for the caller: one table per service.

use std::{error::Error as StdError, fmt};

use aws_sdk_dynamodb::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};
use fineo_core::{Error, ErrorKind};

/// What helps where there are no credentials.
pub(crate) const LOG_IN: &str = "log in, or set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
const DENIED: &str = "the credentials or their policy do not allow this call";
const COLD: &str = "have it restored, which takes hours: archived segments by `fineo replay … --restore DAYS`, others by \
    `aws s3api restore-object`";
const UNREACHED: &str = "look at the region, at AWS_ENDPOINT_URL if it is set, and at the network";

/// The text that AWS, or the way there, gave for an error.
#[derive(Debug)]
pub(crate) struct Said(pub(crate) String);

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for Said {}

/// The messages of an error and its causes, in one line.
pub(crate) fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        let message = source.to_string();
        if !text.contains(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        cause = source.source();
    }
    text
}

/// The code that a service gave; none when it did not answer.
pub(crate) fn code<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Option<&str> {
    error.as_service_error().and_then(ProvideErrorMetadata::code)
}

/// What an error of DynamoDB means.
pub(crate) fn dynamodb<E>(error: SdkError<E, HttpResponse>) -> Error
where
    E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
{
    of_sdk("DynamoDB", &error, dynamodb_kind)
}

fn dynamodb_kind(code: &str) -> Option<ErrorKind> {
    Some(match code {
        "ProvisionedThroughputExceededException"
        | "RequestLimitExceeded"
        | "TransactionInProgressException"
        | "LimitExceededException" => ErrorKind::Throttled,
        "ResourceInUseException" | "TableAlreadyExistsException" => ErrorKind::AlreadyExists,
        "ResourceNotFoundException" | "TableNotFoundException" => ErrorKind::NotFound,
        "ItemCollectionSizeLimitExceededException" => ErrorKind::LimitExceeded,
        "TransactionCanceledException" | "ConditionalCheckFailedException" | "TransactionConflictException" => {
            ErrorKind::Unavailable
        }
        "IdempotentParameterMismatchException" => ErrorKind::Internal,
        _ => return None,
    })
}

/// What an error of Kinesis means.
pub(crate) fn kinesis<E>(error: SdkError<E, HttpResponse>) -> Error
where
    E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
{
    of_sdk("Kinesis", &error, kinesis_kind)
}

fn kinesis_kind(code: &str) -> Option<ErrorKind> {
    Some(match code {
        "ProvisionedThroughputExceededException" | "LimitExceededException" | "KMSThrottlingException" => {
            ErrorKind::Throttled
        }
        "ResourceInUseException" => ErrorKind::AlreadyExists,
        "ResourceNotFoundException" => ErrorKind::NotFound,
        "ExpiredIteratorException" | "ExpiredNextTokenException" => ErrorKind::Unavailable,
        code if code.starts_with("KMS") => ErrorKind::Unavailable,
        _ => return None,
    })
}

/// What an error of Firehose means.
pub(crate) fn firehose<E>(error: SdkError<E, HttpResponse>) -> Error
where
    E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
{
    of_sdk("Firehose", &error, firehose_kind)
}

fn firehose_kind(code: &str) -> Option<ErrorKind> {
    Some(match code {
        "ServiceUnavailableException" | "LimitExceededException" => ErrorKind::Throttled,
        "ResourceNotFoundException" => ErrorKind::NotFound,
        code if code.starts_with("InvalidKMS") => ErrorKind::Unavailable,
        _ => return None,
    })
}

/// What codes mean that every service may answer. A denied call is not the fault of any record, nor is what nobody knows: it is
/// held until it goes through.
fn common_kind(code: &str, status: u16) -> ErrorKind {
    match code {
        "ThrottlingException" | "Throttling" | "TooManyRequestsException" | "SlowDown" => ErrorKind::Throttled,
        "ValidationException" | "InvalidArgumentException" | "UnknownOperationException" => ErrorKind::Invalid,
        _ if status == 429 => ErrorKind::Throttled,
        // Something on the way may have answered.
        _ => ErrorKind::Unavailable,
    }
}

fn is_denied(code: &str) -> bool {
    matches!(
        code,
        "AccessDeniedException"
            | "AccessDenied"
            | "UnrecognizedClientException"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException"
            | "IncompleteSignature"
            | "InvalidClientTokenId"
            | "ExpiredTokenException"
            | "ExpiredToken"
            | "OptInRequired"
    )
}

fn is_of_clock(code: &str) -> bool {
    matches!(code, "RequestExpired" | "RequestTimeTooSkewed" | "InvalidSignatureException" | "SignatureDoesNotMatch")
}

fn of_sdk<E>(service: &'static str, error: &SdkError<E, HttpResponse>, kind_of: fn(&str) -> Option<ErrorKind>) -> Error
where
    E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
{
    let unavailable = |message: &str| {
        let said = Said(chain(error));
        Error::unavailable(message).with("service", service).with_source(said)
    };
    match error {
        SdkError::ConstructionFailure(_) => {
            Error::invalid("the request could not be made").with("service", service).with_source(Said(chain(error)))
        }
        SdkError::TimeoutError(_) => unavailable("the service did not answer in time").and_may_have_applied(),
        // Without credentials nothing was sent.
        SdkError::DispatchFailure(_) if chain(error).contains("credential") => {
            unavailable("no credentials were found").with("hint", LOG_IN)
        }
        SdkError::DispatchFailure(_) => {
            unavailable("the service could not be reached").with("hint", UNREACHED).and_may_have_applied()
        }
        SdkError::ResponseError(_) => unavailable("the answer could not be read").and_may_have_applied(),
        SdkError::ServiceError(context) => {
            let (status, meta) = (context.raw().status().as_u16(), context.err().meta());
            answered(service, status, (meta.code().unwrap_or("none"), meta.message().unwrap_or("")), kind_of)
        }
        _ => unavailable("the call failed").and_may_have_applied(),
    }
}

/// What an answer with a status, a code and a message means.
fn answered(
    service: &'static str,
    status: u16,
    (code, message): (&str, &str),
    kind_of: fn(&str) -> Option<ErrorKind>,
) -> Error {
    let kind = kind_of(code).unwrap_or_else(|| common_kind(code, status));
    let error = Error::new(kind, format!("{service} refused the call"));
    let mut error = error.with("code", code).with("status", status).with_source(Said(message.to_owned()));
    if is_denied(code) {
        error = error.with("hint", DENIED);
    }
    if is_of_clock(code) {
        error = error.with("hint", "compare this machine's clock with the real time, and look at the secret key");
    }
    if status >= 500 || status == 408 { error.and_may_have_applied() } else { error }
}

/// What an error of S3 means.
pub(crate) fn s3(error: object_store::Error) -> Error {
    use object_store::Error as Store;
    let text = chain(&error);
    let (kind, message) = match &error {
        _ if text.contains("NoSuchBucket") => (ErrorKind::NotFound, "no such bucket"),
        _ if text.contains("incorrectly configured region") => (ErrorKind::Invalid, "the bucket is in another region"),
        _ if text.contains("no credentials") => (ErrorKind::Unavailable, "no credentials were found"),
        // A lifecycle rule, or Intelligent-Tiering, has moved it to a class that is not read at once.
        _ if text.contains("InvalidObjectState") => {
            (ErrorKind::Cold, "the object is in a cold storage class and has to be restored before it is read")
        }
        Store::NotFound { .. } => (ErrorKind::NotFound, "no such object"),
        Store::AlreadyExists { .. } => (ErrorKind::AlreadyExists, "the object is there already"),
        Store::Precondition { .. } | Store::NotModified { .. } => {
            (ErrorKind::AlreadyExists, "the object is not as expected")
        }
        Store::NotSupported { .. } | Store::NotImplemented { .. } => {
            (ErrorKind::Unsupported, "the object store cannot do this")
        }
        Store::InvalidPath { .. } => (ErrorKind::Invalid, "not the name of an object"),
        Store::PermissionDenied { .. } | Store::Unauthenticated { .. } => {
            (ErrorKind::Unavailable, "S3 refused the call")
        }
        _ if text.contains("SlowDown") || text.contains("429") => (ErrorKind::Throttled, "S3 asks for patience"),
        _ => (ErrorKind::Unavailable, "S3 could not be reached"),
    };
    let result = Error::new(kind, message).with_source(Said(text));
    match (message, &error) {
        ("the bucket is in another region", _) => result.with("hint", "set AWS_REGION to the bucket's"),
        ("no credentials were found", _) => result.with("hint", LOG_IN),
        _ if kind == ErrorKind::Cold => result.with("hint", COLD),
        (_, Store::PermissionDenied { .. } | Store::Unauthenticated { .. }) => result.with("hint", DENIED),
        _ if kind == ErrorKind::Unavailable => result.with("hint", UNREACHED).and_may_have_applied(),
        _ => result,
    }
}

#[cfg(test)]
mod tests;
