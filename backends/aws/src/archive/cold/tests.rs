//! What S3 tells of an object, and how it is asked for one.

use fineo_core::{
    Result, Timestamp,
    archive::{Restore, RestoreTier},
};

use super::{Answer, Shelf, body, place_of, written_at};

fn head(headers: &[(&str, &str)]) -> Answer {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Answer { status: 200, headers, text: String::new() }
}

#[test]
fn a_head_tells_where_an_object_is_and_how_far_its_restore_is() {
    let (class, status, restore) = ("x-amz-storage-class", "x-amz-archive-status", "x-amz-restore");
    let ongoing = (restore, "ongoing-request=\"true\"");
    let back = (restore, "ongoing-request=\"false\", expiry-date=\"Fri, 21 Dec 2012 00:00:00 GMT\"");
    for (headers, told) in [
        // What is in the class STANDARD bears no class.
        (vec![], (Shelf::Hot, false)),
        (vec![(class, "STANDARD_IA")], (Shelf::Hot, false)),
        (vec![(class, "GLACIER_IR")], (Shelf::Hot, false)),
        (vec![(class, "GLACIER")], (Shelf::Glacier, false)),
        (vec![(class, "DEEP_ARCHIVE")], (Shelf::Glacier, false)),
        (vec![(class, "GLACIER"), ongoing], (Shelf::Glacier, true)),
        (vec![(class, "DEEP_ARCHIVE"), back], (Shelf::Hot, false)),
        (vec![(class, "INTELLIGENT_TIERING")], (Shelf::Hot, false)),
        (vec![(class, "INTELLIGENT_TIERING"), (status, "ARCHIVE_ACCESS")], (Shelf::Tiered, false)),
        (vec![(class, "INTELLIGENT_TIERING"), (status, "DEEP_ARCHIVE_ACCESS"), ongoing], (Shelf::Tiered, true)),
    ] {
        assert_eq!(place_of(&head(&headers)), told, "{headers:?}");
    }
}

#[test]
fn an_object_without_a_readable_date_may_have_been_written_just_now() {
    let of = |date: &str| written_at(&head(&[("last-modified", date)]));
    assert_eq!(of("Fri, 21 Dec 2012 00:00:00 GMT"), Timestamp::saturating_from_micros(1_356_048_001_000_000));
    assert_eq!([of("yesterday"), written_at(&head(&[]))], [Timestamp::MAX; 2]);
}

#[test]
fn only_what_comes_back_as_a_copy_is_asked_for_some_days() -> Result<()> {
    let restore = Restore::for_days(7)?.with_tier(RestoreTier::Bulk);
    let glacier = body(Shelf::Glacier, restore);
    assert!(glacier.contains("<Days>7</Days><GlacierJobParameters><Tier>Bulk</Tier>"), "{glacier}");
    let tiered = body(Shelf::Tiered, restore);
    assert!(!tiered.contains("Days") && tiered.contains("<Tier>Bulk</Tier>"), "{tiered}");
    assert!(Restore::for_days(0).is_err());
    Ok(())
}
