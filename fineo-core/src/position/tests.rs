//! Positions and covers.

use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

use super::{Cover, Position, ShardId};

fn shard(name: &str) -> ShardId {
    ShardId::new(name).unwrap()
}

#[test]
fn a_cover_answers_for_its_shard_up_to_its_position() {
    let cover: Cover = [(shard("a"), Position::from(5))].into_iter().collect();
    assert!(cover.contains(&shard("a"), Position::from(5)));
    assert!(!cover.contains(&shard("a"), Position::from(6)));
    assert!(!cover.contains(&shard("b"), Position::ZERO));
}

#[test]
fn a_cover_never_moves_backward() {
    let mut cover = Cover::default();
    cover.advance(&shard("a"), Position::from(9));
    cover.advance(&shard("a"), Position::from(3));
    assert_eq!(cover.last(&shard("a")), Some(Position::from(9)));
}

#[test]
fn a_sequence_number_of_186_bits_keeps_its_order() {
    let mut small = [0; Position::LEN];
    small[1] = 2;
    let mut large = small;
    large[23] = 1;
    assert!(Position::from_bytes(small) < Position::from_bytes(large));
    assert_eq!(Position::from_bytes(large).to_u128(), None);
}

#[test]
fn what_is_no_position_is_refused() {
    for text in ["", "00", &"g".repeat(48), &"é".repeat(24)] {
        assert!(text.parse::<Position>().is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn numbers_and_positions_order_alike(left: u128, right: u128) {
        prop_assert_eq!(left.cmp(&right), Position::from(left).cmp(&Position::from(right)));
        prop_assert_eq!(Position::from(left).to_u128(), Some(left));
    }

    #[test]
    fn a_position_reads_back_from_its_text(bytes in proptest::array::uniform24(0u8..)) {
        let position = Position::from_bytes(bytes);
        prop_assert_eq!(position.to_string().parse::<Position>().unwrap(), position);
    }

    #[test]
    fn a_merged_cover_includes_both(left in proptest::collection::vec((0u8..4, 0u64..50), 0..8),
                                    right in proptest::collection::vec((0u8..4, 0u64..50), 0..8)) {
        let cover = |items: &[(u8, u64)]| -> Cover {
            items.iter().map(|(name, number)| (shard(&name.to_string()), Position::from(*number))).collect()
        };
        let (left, right) = (cover(&left), cover(&right));
        let mut both = left.clone();
        both.merge(&right);
        prop_assert!(both.includes(&left) && both.includes(&right));
        let mut other_way = right.clone();
        other_way.merge(&left);
        prop_assert_eq!(both, other_way);
    }
}
