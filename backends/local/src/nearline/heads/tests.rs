//! What is kept narrow is read as it was written.

use fineo_core::{ContentHash, EventId, Position};

use super::{Contents, Positions};

#[test]
fn positions_are_read_as_they_were_written() {
    let wide = Position::from(u128::MAX);
    for written in
        [vec![], vec![Position::ZERO, Position::from(7)], vec![Position::from(u64::MAX), wide, Position::ZERO]]
    {
        let mut positions = Positions::default();
        written.iter().for_each(|position| positions.push(*position));
        assert_eq!(positions.range(0..written.len()).collect::<Vec<_>>(), written);
    }
}

#[test]
fn contents_are_kept_from_the_first_that_is_no_id() {
    let ids: Vec<EventId> = (0..4_u8).map(|number| EventId([number; 16])).collect();
    for other in 0..=ids.len() {
        let written: Vec<ContentHash> =
            ids.iter().enumerate().map(|(row, id)| ContentHash(if row == other { [9; 16] } else { id.0 })).collect();
        let mut contents = Contents::default();
        for (row, content) in written.iter().enumerate() {
            contents.push(*content, ids[row], &ids[..row]);
        }
        assert_eq!(contents.are_ids(), other == ids.len());
        let read: Vec<ContentHash> = ids.iter().enumerate().map(|(row, id)| contents.get(row, *id)).collect();
        assert_eq!(read, written);
    }
}
