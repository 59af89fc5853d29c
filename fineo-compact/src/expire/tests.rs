//! Which segments are looked at first, and whom one that may not go holds up.

use fineo_core::archive::SegmentName;

use super::*;

fn segment(shard: &str, number: u64) -> SegmentInfo {
    let name = SegmentName {
        stage: Stage::Raw,
        kind: SegmentKind::Received,
        time: Timestamp::from_micros(i64::try_from(number).unwrap()).unwrap(),
        shard: ShardId::new(shard).unwrap(),
        first: Position::from(number),
        last: Position::from(number),
    };
    SegmentInfo { name, bytes: 1 }
}

#[test]
fn however_many_segments_of_a_shard_may_not_go_those_of_others_are_looked_at() {
    let mut queues = Queues::default();
    let many = 3 * SEGMENTS_MAX as u64;
    (0..many).rev().for_each(|number| queues.add(segment("stuck", number)));
    (many..many + 2).for_each(|number| queues.add(segment("other", number)));
    let first = queues.pop().unwrap();
    assert_eq!(first, segment("stuck", 0), "the oldest of all");
    queues.stop(&first.name.shard);
    assert_eq!(
        [queues.pop(), queues.pop(), queues.pop()],
        [Some(segment("other", many)), Some(segment("other", many + 1)), None]
    );
}
