//! Packed rows and the form of a scan.

use super::{COLUMN_EVENT_ID, COLUMN_TIMESTAMP, RowHead, Rows, ScanRequest, SystemColumns, scan_schema};
use crate::{ContentHash, EventId, MetricId, Position, ShardId, TenantId, Timestamp};

fn head(number: u8) -> RowHead {
    RowHead {
        timestamp: Timestamp::default(),
        id: EventId([number; 16]),
        content: ContentHash::default(),
        position: Position::from(u64::from(number)),
        ingested_at: Timestamp::default(),
    }
}

#[test]
fn rows_give_back_their_cells_under_their_names() {
    let mut rows = Rows::new(ShardId::new("s0").unwrap());
    rows.row(head(1), "pmp");
    rows.cell("PM2.5", "4");
    rows.cell("温度", "");
    rows.row(head(2), "pump");
    rows.row(head(3), "pmp");
    rows.cell("PM2.5", "5");
    let read: Vec<(String, Vec<(String, String)>)> = rows
        .iter()
        .map(|row| {
            (row.alias().to_owned(), row.cells().map(|(name, text)| (name.to_owned(), text.to_owned())).collect())
        })
        .collect();
    let cell = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    assert_eq!(
        read,
        [
            ("pmp".to_owned(), vec![cell("PM2.5", "4"), cell("温度", "")]),
            ("pump".to_owned(), vec![]),
            ("pmp".to_owned(), vec![cell("PM2.5", "5")]),
        ]
    );
}

#[test]
fn a_clone_of_shared_rows_stays_as_it_is_while_they_grow() {
    let mut rows = Rows::new(ShardId::new("s0").unwrap());
    rows.row(head(1), "pmp");
    rows.cell("a", "1");
    let mut rows = rows.shared();
    let clone = rows.clone();
    rows.row(head(2), "pmp");
    assert_eq!((clone.len(), rows.len(), clone.names().len()), (1, 2, 2));
}

#[test]
fn a_scan_answers_the_columns_asked_for_and_the_timestamp() {
    let request = ScanRequest::new(TenantId::new("acme").unwrap(), MetricId::numbered(1))
        .with_names(["b", "a"])
        .with_system(SystemColumns { event_id: true, ..SystemColumns::default() });
    let schema = scan_schema(&request);
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, [COLUMN_TIMESTAMP, COLUMN_EVENT_ID, "b", "a"]);
}
