//! What a refused transaction means, from the reasons that AWS gives.

use aws_sdk_dynamodb::types::CancellationReason;
use bytes::Bytes;
use fineo_core::{
    TenantId, Timestamp,
    repo::{Keep, Subject, Version, Write},
};

use super::{
    append::{Refusal, refusal},
    item::{Body, Head, head_key, versions_key},
};

fn subject(name: &str) -> Subject {
    Subject::tenant(&TenantId::new("acme").unwrap(), name, Keep::Latest).unwrap()
}

fn write(name: &str, expected: u64) -> Write {
    Write { subject: subject(name), expected: Version(expected), body: Some(Bytes::new()) }
}

fn there(version: u64, keep: Keep, nonce: &str) -> CancellationReason {
    let body = Body::Inline { bytes: Bytes::new(), checksum: 0 };
    let head =
        Head { version: Version(version), keep, nonce: nonce.to_owned(), written_at: Timestamp::default(), body };
    let item = head.item(head_key(&subject("a")));
    CancellationReason::builder().code("ConditionalCheckFailed").set_item(Some(item)).build()
}

fn reason(code: &str) -> CancellationReason {
    CancellationReason::builder().code(code).build()
}

fn check(reasons: &[CancellationReason], expected: Option<Refusal>) {
    let writes = [write("a", 1), write("b", 0)];
    assert_eq!(refusal(&writes, &[Some(0), Some(1), None], reasons, "ours"), expected);
}

#[test]
fn the_first_write_that_did_not_stand_as_expected_is_named() {
    let none = || reason("None");
    check(&[none(), none(), none()], None);
    check(&[there(5, Keep::Latest, "x"), none(), none()], Some(Refusal::Stands { index: 0, current: Version(5) }));
    let both = [reason("ConditionalCheckFailed"), there(2, Keep::Latest, "x"), none()];
    check(&both, Some(Refusal::Stands { index: 0, current: Version::NONE }));
}

// N11: a transaction that is sent again after its token was forgotten meets what it made itself.
#[test]
fn our_own_version_is_no_conflict() {
    check(&[there(2, Keep::Latest, "ours"), reason("None"), reason("None")], Some(Refusal::Ours));
}

#[test]
fn a_subject_that_keeps_its_versions_otherwise_is_told() {
    check(&[there(1, Keep::History, "x"), reason("None"), reason("None")], Some(Refusal::KeptOtherwise(0)));
}

#[test]
fn no_two_subjects_share_a_key() {
    let tenant = |name: &str| TenantId::new(name).unwrap();
    let of = |owner: &str, name: &str| Subject::tenant(&tenant(owner), name, Keep::History).unwrap();
    let subjects = [of("a", "b/c"), of("a.b", "c"), of("a", "b.c"), Subject::system("a/b/c", Keep::History).unwrap()];
    let keys: std::collections::BTreeSet<String> = subjects.iter().map(versions_key).collect();
    assert_eq!(keys.len(), subjects.len());
}
