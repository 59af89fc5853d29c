//! The order of names, whatever was ranked when.

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn names_are_sorted_by_their_bytes_however_few_of_them_have_a_rank(
        events in prop::collection::vec(prop::collection::hash_set("[a-c.é]{1,4}", 0..24), 1..20),
        left_out in 0_u32..30,
    ) {
        let (mut names, mut order) = (Names::new(), Order::default());
        for event in events {
            names.rank();
            names.begin_event();
            let mut numbers = Vec::new();
            for text in &event {
                let node = names.node(ROOT, NOBODY, text).unwrap();
                numbers.push(names.node_mut(node).name);
            }
            names.sort(numbers.iter().copied(), Some(left_out), &mut order);
            let mut expected: Vec<(u32, u32)> =
                (0..).zip(numbers).filter(|(place, _)| *place != left_out).collect();
            expected.sort_by(|one, other| names.name(one.1).text.as_bytes().cmp(names.name(other.1).text.as_bytes()));
            prop_assert_eq!(order.iter().collect::<Vec<_>>(), expected);
        }
    }
}
