//! Which events a file has.

use fineo_core::{ErrorKind, EventId};

use super::fixture::Desk;

fn id(number: u128) -> EventId {
    EventId(number.to_be_bytes())
}

#[tokio::test]
async fn events_of_a_file_are_found_and_what_was_found_out_is_not_read_again() {
    let desk = Desk::new();
    let snapshot = desk.commit("aa", 10, Vec::new()).await;
    let reader = desk.tables.reader(&snapshot, &snapshot.files[0]).await.unwrap();
    // The file has the ids 1 to 3, and no filter.
    let mut found: Vec<EventId> = reader.find(&[id(9), id(3), id(1), id(3)]).await.unwrap().into_iter().collect();
    found.sort_unstable();
    assert_eq!(found, [id(1), id(3)]);
    assert!(reader.find(&[]).await.unwrap().is_empty());
    desk.delete(&snapshot.files[0].path).await;
    let again = desk.tables.reader(&snapshot, &snapshot.files[0]).await.unwrap();
    assert_eq!(again.find(&[id(1), id(9)]).await.unwrap().into_iter().collect::<Vec<_>>(), [id(1)]);
    assert_ne!(again.find(&[id(2)]).await.unwrap_err().kind(), ErrorKind::Internal);
}
