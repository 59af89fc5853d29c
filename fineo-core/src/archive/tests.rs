//! Names of segments and their paths.

use proptest::prelude::{Strategy, prop_assert_eq, proptest};

use super::{SegmentKind, SegmentName, SegmentQuery, Stage};
use crate::{Position, ShardId, Timestamp};

fn name(micros: i64, shard: &str, first: u64, last: u64) -> SegmentName {
    SegmentName {
        stage: Stage::Raw,
        kind: SegmentKind::Received,
        time: Timestamp::from_micros(micros).unwrap(),
        shard: ShardId::new(shard).unwrap(),
        first: first.into(),
        last: last.into(),
    }
}

#[test]
fn a_path_says_stage_kind_day_shard_and_positions() {
    let path = name(1_425_209_820_000_000, "s_0", 1, 255).path();
    assert!(path.starts_with("raw/received/2015/03/01/"), "{path}");
    assert!(path.ends_with(&format!("_s_0_{}01_{}ff.avro", "0".repeat(46), "0".repeat(46))), "{path}");
}

#[test]
fn paths_of_one_kind_order_as_times_do() {
    let times = [Timestamp::MIN.micros(), -1, 0, 1, 86_400_000_000, Timestamp::MAX.micros()];
    let paths: Vec<String> = times.iter().map(|micros| name(*micros, "s0", 0, 0).path()).collect();
    assert!(paths.is_sorted(), "{paths:#?}");
}

#[test]
fn a_query_that_begins_somewhere_lists_what_orders_behind_its_beginning() {
    let times = [Timestamp::MIN.micros(), -1, 0, 1, 86_400_000_000, Timestamp::MAX.micros()];
    for from in times {
        let query = SegmentQuery::new(Stage::Raw, SegmentKind::Received).with_from(Timestamp::from_micros(from).ok());
        let begin = query.begins_behind().expect("it begins somewhere");
        for micros in times {
            let name = name(micros, "-", 0, 0);
            assert_eq!((query.asks_for(&name), name.path() > begin), (micros >= from, micros >= from));
        }
    }
    let all = SegmentQuery::new(Stage::Raw, SegmentKind::Received);
    assert_eq!((all.begins_behind(), all.asks_for(&name(-1, "s0", 0, 0))), (None, true));
}

#[test]
fn a_foreign_path_is_refused() {
    for path in ["", "raw/received/x.avro", "raw/received/2015/03/01/1_s0_0_0.avro", "../../../../../etc/passwd"] {
        assert!(SegmentName::from_path(path).is_err(), "{path}");
    }
}

fn names() -> impl Strategy<Value = SegmentName> {
    let micros = Timestamp::MIN.micros()..=Timestamp::MAX.micros();
    (micros, "[A-Za-z0-9_-]{1,20}", proptest::array::uniform24(0u8..), proptest::array::uniform24(0u8..)).prop_map(
        |(micros, shard, first, last)| SegmentName {
            stage: Stage::Staged,
            kind: SegmentKind::Malformed,
            time: Timestamp::from_micros(micros).expect("in range"),
            shard: ShardId::new(&shard).expect("legal"),
            first: Position::from_bytes(first),
            last: Position::from_bytes(last),
        },
    )
}

proptest! {
    #[test]
    fn a_path_reads_back_as_its_name(name in names()) {
        prop_assert_eq!(SegmentName::from_path(&name.path()).unwrap(), name);
    }
}
