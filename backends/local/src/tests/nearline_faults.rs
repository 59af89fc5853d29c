//! What a defect of the nearline store leaves, and what becomes of its files when they cannot be opened.

use std::{fs, sync::Arc};

use fineo_core::{
    ErrorKind, MetricId, NearlineStore, Outcome,
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

// D7
#[tokio::test(flavor = "multi_thread")]
async fn a_segment_that_the_system_does_not_open_now_is_not_damaged_and_one_that_is_gone_is() {
    let folder = tempfile::tempdir().unwrap();
    // A second sync moves all rows to a segment.
    let options = small().with_journal_bytes(0);
    let directory = LocalDirectory::open(folder.path(), options.clone()).unwrap();
    let store = directory.nearline();
    store.write(&tenant("acme"), &MetricId::numbered(1), rows(0)).await;
    for _ in 0..2 {
        store.sync().await.into_result().unwrap();
    }
    drop(store);
    directory.close().await.unwrap();
    let (permission_denied, too_many_files) = (13, 24);
    for (code, hint) in [(permission_denied, "let the user"), (too_many_files, "more open files")] {
        let disk = FaultDisk::default();
        disk.refuse(".pack", code);
        let error = LocalDirectory::open_on(Arc::new(disk), folder.path(), options.clone()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains(".pack") && error.to_string().contains(hint), "{error}");
        let directory = open(folder.path());
        assert!(directory.nearline().damages().await.unwrap().is_empty());
        assert_eq!(count(&directory.nearline()).await, 3);
        directory.close().await.unwrap();
    }
    let files = fs::read_dir(folder.path().join("nearline")).unwrap().map(|entry| entry.unwrap().path());
    let packs: Vec<_> = files.filter(|path| path.extension().is_some_and(|of| of == "pack")).collect();
    assert_eq!(packs.len(), 1);
    fs::remove_file(&packs[0]).unwrap();
    let damages = open(folder.path()).nearline().damages().await.unwrap();
    assert_eq!(damages.len(), 1);
    assert_eq!(damages[0].error.kind(), ErrorKind::NotFound);
}
