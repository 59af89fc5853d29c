//! What a defect of the nearline store leaves.

use std::sync::Arc;

use fineo_core::{
    MetricId, NearlineStore, Outcome,
    nearline::{Rows, ScanRequest},
};
use futures::TryStreamExt;

use super::{
    fault_disk::FaultDisk,
    fixture::{head, open, s0, small, tenant},
};
use crate::LocalDirectory;

fn rows(from: u64) -> Rows {
    let mut rows = Rows::new(s0());
    for row in from..from + 3 {
        rows.row(head(row.into(), row.into(), row.cast_signed(), row + 1), "alias");
    }
    rows
}

async fn count(store: &Arc<dyn NearlineStore>) -> usize {
    let scan = store.scan(ScanRequest::new(tenant("acme"), MetricId::numbered(1)));
    let batches: Vec<_> = scan.try_collect().await.unwrap();
    batches.iter().map(arrow_array::RecordBatch::num_rows).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_panic_rows_are_read_and_none_is_written_until_the_directory_is_opened_again() {
    let (disk, folder) = (FaultDisk::default(), tempfile::tempdir().unwrap());
    let directory = LocalDirectory::open_on(Arc::new(disk.clone()), folder.path(), small()).unwrap();
    let store = directory.nearline();
    let written = store.write(&tenant("acme"), &MetricId::numbered(1), rows(0)).await;
    assert!(written.iter().all(Outcome::is_done));
    store.sync().await.into_result().unwrap();
    let written = store.write(&tenant("acme"), &MetricId::numbered(1), rows(3)).await;
    assert!(written.iter().all(Outcome::is_done));

    disk.panic_at_sync();
    let error = store.sync().await.into_result().unwrap_err();
    assert!(error.to_string().contains("a defect"), "{error}");
    assert!(error.may_have_applied());

    let refused = store.sync().await.into_result().unwrap_err();
    assert!(refused.to_string().contains("close it and open it again"), "{refused}");
    let refused = store.write(&tenant("acme"), &MetricId::numbered(1), rows(6)).await;
    assert!(refused.iter().all(|outcome| matches!(outcome, Outcome::NotDone(_))));
    assert_eq!(count(&store).await, 6);

    drop((store, directory));
    let directory = open(folder.path());
    let store = directory.nearline();
    assert!(count(&store).await >= 3, "what was synced is there");
    store.write(&tenant("acme"), &MetricId::numbered(1), rows(3)).await;
    assert_eq!(count(&store).await, 6);
}
