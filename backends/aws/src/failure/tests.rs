//! Answers as AWS gives them, and what they mean.

use fineo_core::{Error, ErrorKind, Outcome};

use super::{answered, dynamodb_kind, kinesis_kind, s3};

fn dynamodb(status: u16, code: &str) -> Error {
    answered("DynamoDB", status, (code, "said AWS"), dynamodb_kind)
}

fn kinesis(status: u16, code: &str) -> Error {
    answered("Kinesis", status, (code, "said AWS"), kinesis_kind)
}

// N5: whatever is wrong with the backend is waited for; only a wrong request is Invalid.
#[test]
fn codes_of_dynamodb_say_what_to_do() {
    for (status, code, kind) in [
        (400, "ProvisionedThroughputExceededException", ErrorKind::Throttled),
        (400, "ThrottlingException", ErrorKind::Throttled),
        (400, "RequestLimitExceeded", ErrorKind::Throttled),
        (400, "ResourceNotFoundException", ErrorKind::NotFound),
        (400, "ResourceInUseException", ErrorKind::AlreadyExists),
        (400, "ItemCollectionSizeLimitExceededException", ErrorKind::LimitExceeded),
        (400, "ValidationException", ErrorKind::Invalid),
        (400, "AccessDeniedException", ErrorKind::Unavailable),
        (400, "ExpiredTokenException", ErrorKind::Unavailable),
        (400, "SomethingNew", ErrorKind::Unavailable),
        (500, "InternalServerError", ErrorKind::Unavailable),
        (503, "none", ErrorKind::Unavailable),
    ] {
        assert_eq!(dynamodb(status, code).kind(), kind, "{status} {code}");
    }
}

#[test]
fn codes_of_kinesis_say_what_to_do() {
    for (status, code, kind) in [
        (400, "ProvisionedThroughputExceededException", ErrorKind::Throttled),
        (400, "LimitExceededException", ErrorKind::Throttled),
        (400, "KMSThrottlingException", ErrorKind::Throttled),
        (400, "KMSDisabledException", ErrorKind::Unavailable),
        (400, "KMSAccessDeniedException", ErrorKind::Unavailable),
        (400, "ExpiredIteratorException", ErrorKind::Unavailable),
        (400, "ResourceInUseException", ErrorKind::AlreadyExists),
        (400, "InvalidArgumentException", ErrorKind::Invalid),
        (403, "InvalidSignatureException", ErrorKind::Unavailable),
        (400, "SerializationException", ErrorKind::Unavailable),
        (403, "MissingAuthenticationToken", ErrorKind::Unavailable),
        (403, "none", ErrorKind::Unavailable),
        (407, "none", ErrorKind::Unavailable),
        (408, "none", ErrorKind::Unavailable),
        (413, "none", ErrorKind::Unavailable),
        (429, "none", ErrorKind::Throttled),
        (500, "InternalFailure", ErrorKind::Unavailable),
    ] {
        assert_eq!(kinesis(status, code).kind(), kind, "{status} {code}");
    }
}

// N11: after an answer of the 500s the call may have been carried out.
#[test]
fn only_a_failure_of_the_service_leaves_the_outcome_unknown() {
    assert!(matches!(Outcome::<()>::of_error(dynamodb(500, "InternalServerError")), Outcome::Unknown(_)));
    assert!(matches!(Outcome::<()>::of_error(dynamodb(400, "ThrottlingException")), Outcome::NotDone(_)));
}

#[test]
fn a_denied_call_and_a_wrong_clock_say_what_to_fix() {
    let hint = |error: Error| error.context().iter().find(|(name, _)| *name == "hint").map(|(_, hint)| hint.clone());
    assert!(hint(dynamodb(400, "AccessDeniedException")).is_some_and(|hint| hint.contains("policy")));
    assert!(hint(kinesis(403, "RequestExpired")).is_some_and(|hint| hint.contains("clock")));
    assert_eq!(hint(dynamodb(400, "ValidationException")), None);
}

#[test]
fn errors_of_s3_say_what_to_do() {
    use object_store::Error as Store;
    let of = |text: &str| Store::Generic { store: "S3", source: text.to_owned().into() };
    assert_eq!(s3(of("503 Service Unavailable: SlowDown")).kind(), ErrorKind::Throttled);
    let reset = s3(of("connection reset"));
    assert_eq!(reset.kind(), ErrorKind::Unavailable);
    assert!(reset.may_have_applied());
    let missing = Store::NotFound { path: "x".to_owned(), source: "404".to_owned().into() };
    assert_eq!(s3(missing).kind(), ErrorKind::NotFound);
    let cold = "403 Forbidden: <Code>InvalidObjectState</Code><StorageClass>GLACIER</StorageClass>";
    let cold = s3(Store::PermissionDenied { path: "x".to_owned(), source: cold.into() });
    assert_eq!((cold.kind(), cold.is_retryable(), cold.may_have_applied()), (ErrorKind::Cold, false, false));
    let hint = |error: Error| error.context().iter().find(|(name, _)| *name == "hint").map(|(_, hint)| hint.clone());
    assert!(hint(cold).is_some_and(|hint| hint.contains("--restore")));
    for (text, kind, helps) in [
        ("404 Not Found: <Code>NoSuchBucket</Code>", ErrorKind::NotFound, None),
        ("redirect without LOCATION, an incorrectly configured region", ErrorKind::Invalid, Some("AWS_REGION")),
        ("no credentials were found", ErrorKind::Unavailable, Some("AWS_PROFILE")),
        ("connection refused", ErrorKind::Unavailable, Some("AWS_ENDPOINT_URL")),
    ] {
        let error = s3(of(text));
        assert_eq!(error.kind(), kind, "{text}");
        let hint = hint(error).unwrap_or_default();
        assert!(helps.is_none_or(|helps| hint.contains(helps)), "{text}: {hint}");
    }
}
