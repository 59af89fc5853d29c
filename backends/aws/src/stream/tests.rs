//! What can be said without Kinesis: numbers, plans, outcomes, order of shards.

use aws_sdk_kinesis::types::PutRecordsResultEntry;
use bytes::Bytes;
use fineo_core::{
    ErrorKind, Outcome, Position, ShardId, TenantId,
    stream::{Entry, Shard},
};
use proptest::prelude::*;

use super::{
    ENTRIES_MAX, ENTRY_BYTES_MAX,
    append::outcome,
    plan::{hash_key, refusal, requests},
    sequence::{position, sequence},
    shards::parents_first,
};

fn entry(bytes: usize) -> Entry {
    Entry { tenant: TenantId::new("acme").unwrap(), key: 1, payload: Bytes::from(vec![0; bytes]) }
}

proptest! {
    #[test]
    fn a_position_is_its_sequence_number(bytes in any::<[u8; 24]>()) {
        let there = Position::from_bytes(bytes);
        prop_assert_eq!(position(&sequence(there)).unwrap(), there);
    }

    #[test]
    fn positions_order_as_numbers_do(left in any::<[u8; 24]>(), right in any::<[u8; 24]>()) {
        let by_number = |bytes| {
            let digits = sequence(Position::from_bytes(bytes));
            (digits.len(), digits)
        };
        prop_assert_eq!(left.cmp(&right), by_number(left).cmp(&by_number(right)));
    }
}

#[test]
fn sequence_numbers_of_56_digits_are_positions() {
    let number = "49546986683135544286507457936321625675700192471156785154";
    assert_eq!(sequence(position(number).unwrap()), number);
    assert_eq!(position("0").unwrap(), Position::ZERO);
    for text in ["", "-1", "1a", "٣", &"9".repeat(70)] {
        assert_eq!(position(text).map_err(|error| error.kind()), Err(ErrorKind::Corrupt), "{text}");
    }
}

#[test]
fn requests_keep_to_the_limits_by_count_and_by_bytes() {
    let sizes = |entries: &[Entry]| requests(entries).iter().map(Vec::len).collect::<Vec<_>>();
    assert_eq!(sizes(&[]), [0usize; 0]);
    assert_eq!(sizes(&vec![entry(10); 1001]), [500, 500, 1]);
    assert_eq!(sizes(&vec![entry(ENTRY_BYTES_MAX); 9]), [4, 4, 1]);
    assert_eq!(sizes(&[entry(1), entry(ENTRY_BYTES_MAX + 1), entry(1)]), [2]);
}

#[test]
fn an_entry_beyond_a_limit_is_named() {
    assert!(refusal(0, &entry(ENTRY_BYTES_MAX)).is_none());
    for (index, bytes) in [(0, ENTRY_BYTES_MAX + 1), (ENTRIES_MAX, 1)] {
        assert_eq!(refusal(index, &entry(bytes)).map(|error| error.kind()), Some(ErrorKind::Invalid));
    }
}

#[test]
fn small_keys_spread_over_the_whole_range() {
    let quarters: std::collections::BTreeSet<u128> =
        (0..32).map(|key| hash_key(key).parse::<u128>().unwrap() >> 126).collect();
    assert_eq!(quarters.len(), 4);
}

// N9: what raw shards forward under their numbers uses every shard of a staged stream that has as many.
#[test]
fn numbers_in_a_row_use_all_shards_alike() {
    for shards in [1_u128, 2, 4, 8, 16] {
        for first in [0, 16, 48] {
            let numbers = first..first + u64::try_from(shards).unwrap();
            let places = numbers.map(|number| ((hash_key(number).parse::<u128>().unwrap() >> 64) * shards) >> 64);
            assert_eq!(
                places.collect::<std::collections::BTreeSet<_>>().len() as u128,
                shards,
                "{shards} from {first}"
            );
        }
    }
}

// N1: the code of each record decides, whatever the number of failures in the answer says.
#[test]
fn a_record_is_done_only_with_a_number_and_without_a_code() {
    let answer = |number: Option<&str>, code: Option<&str>| {
        PutRecordsResultEntry::builder()
            .set_sequence_number(number.map(str::to_owned))
            .shard_id("shardId-000000000000")
            .set_error_code(code.map(str::to_owned))
            .build()
    };
    assert!(outcome(&answer(Some("12"), None)).is_done());
    let throttled = outcome(&answer(None, Some("ProvisionedThroughputExceededException")));
    assert!(matches!(throttled, Outcome::NotDone(error) if error.kind() == ErrorKind::Throttled));
    for unclear in [answer(None, Some("InternalFailure")), answer(None, None), answer(Some("x"), None)] {
        assert!(matches!(outcome(&unclear), Outcome::Unknown(_)), "{unclear:?}");
    }
}

// O3: a child is read after its parents, and one whose parents have expired at once.
#[test]
fn parents_come_before_children() {
    let id = |name: &str| ShardId::new(name).unwrap();
    let shard = |name: &str, parents: &[&str]| Shard {
        id: id(name),
        parents: parents.iter().map(|parent| id(parent)).collect(),
        is_closed: false,
    };
    let listed =
        vec![shard("a", &["c", "d"]), shard("b", &["gone"]), shard("c", &["e"]), shard("d", &[]), shard("e", &[])];
    let ordered: Vec<String> = parents_first(listed).iter().map(|shard| shard.id.to_string()).collect();
    assert_eq!(ordered, ["b", "d", "e", "c", "a"]);
}
