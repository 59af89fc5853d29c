//! Days that leave the directory of DynamoDB's table while somebody writes to them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use fineo_backend_aws::{Aws, Endpoints};
use fineo_core::{Cover, ErrorKind, NearlineStore, Outcome, Position, Result, ShardId, nearline::Written};
use libtest_mimic::Trial;

use crate::{
    cases::{Ahead, Run, trial},
    place::endpoint,
    rows::{Table, head, owner, request, rows},
    way::{self, Before},
};

/// The trials of days.
pub(crate) fn trials() -> Vec<Trial> {
    let cases: [(&str, Run); 2] = [
        ("aws: a row of a day that was forgotten meanwhile is refused, and written when it comes again", || {
            Box::pin(forgotten_meanwhile())
        }),
        ("aws: a day that is written to while it is to be forgotten stays", || Box::pin(written_meanwhile())),
    ];
    cases.into_iter().map(trial).collect()
}

/// A table with a day that a process has spread, whose rows `cover` has; and one to whom that was long ago.
async fn table() -> Result<(Table, Cover, Aws)> {
    let table = Table::new().await?;
    table.write(of(0..5)).await?;
    let mut cover = Cover::default();
    cover.advance(&ShardId::new("s0")?, Position::from(5u64));
    let tomorrow = Ahead(Duration::from_secs(25 * 3_600));
    let later = Aws::connect(table.aws.options().clone().with_clock(Arc::new(tomorrow))).await?;
    Ok((table, cover, later))
}

fn of(numbers: std::ops::Range<u64>) -> fineo_core::nearline::Rows {
    let mut rows = rows();
    numbers.for_each(|number| rows.row(head(number), "pump"));
    rows
}

/// The same place, to which calls wait for `before`.
async fn by_way(aws: &Aws, before: Before) -> Result<Aws> {
    let url = way::to_dynamodb(&endpoint("FINEO_TEST_DYNAMODB_URL")?, before).await;
    Aws::connect(aws.options().clone().with_endpoints(Endpoints::default().with_dynamodb(url))).await
}

async fn remove(aws: &Aws, cover: &Cover) -> Result<u64> {
    let (tenant, metric) = owner();
    aws.nearline().remove(&tenant, &metric, cover).await.into_result()
}

async fn write(aws: &Aws, number: u64) -> Outcome<Written> {
    let (tenant, metric) = owner();
    aws.nearline().write(&tenant, &metric, of(number..number + 1)).await.remove(0)
}

async fn rows_of(table: &Table) -> Result<usize> {
    Ok(table.scan(request()).await?.iter().map(|batch| batch.num_rows()).sum())
}

async fn forgotten_meanwhile() -> Result<()> {
    let (table, cover, later) = table().await?;
    // Who writes does not spread the day, and finds that others do. Before he can touch it as it is, it is gone.
    let updates = Arc::new(AtomicUsize::new(0));
    let before: Before = Arc::new(move |operation| {
        let is_touch = operation == "UpdateItem" && updates.fetch_add(1, Ordering::SeqCst) == 1;
        let (cover, later) = (cover.clone(), later.clone());
        Box::pin(async move {
            if is_touch {
                assert_eq!(remove(&later, &cover).await.unwrap(), 5);
            }
        })
    });
    let writer = by_way(&table.aws, before).await?;
    let writer = Aws::connect(writer.options().clone().with_unspread_max(1_000)).await?;
    let outcome = write(&writer, 7).await;
    let Outcome::NotDone(error) = outcome else { panic!("no scan would find it: {outcome:?}") };
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(table.items("r:").await.is_empty() && table.items("d:").await.is_empty());
    assert_eq!(write(&writer, 7).await.into_result()?, Written::New);
    assert_eq!(rows_of(&table).await?, 1);
    Ok(())
}

async fn written_meanwhile() -> Result<()> {
    let (table, cover, later) = table().await?;
    // Who forgets has seen that the day has no rows. Before he can take it out, it has one.
    let writer = Aws::connect(table.aws.options().clone()).await?;
    let writes = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&writes);
    let before: Before = Arc::new(move |operation| {
        let is_last = operation == "DeleteItem";
        let (writer, counted) = (writer.clone(), Arc::clone(&counted));
        Box::pin(async move {
            if is_last {
                assert_eq!(write(&writer, 7).await.into_result().unwrap(), Written::New);
                counted.fetch_add(1, Ordering::SeqCst);
            }
        })
    });
    let later = by_way(&later, before).await?;
    assert_eq!(remove(&later, &cover).await?, 5);
    assert_eq!((writes.load(Ordering::SeqCst), rows_of(&table).await?), (1, 1));
    Ok(())
}
