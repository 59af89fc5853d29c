//! A tenant reads what is in its own folder, and nothing else.

use std::{fs, io::Read, sync::Arc};

use fineo::{ErrorKind, ImportSource, TenantId};
use object_store::{ObjectStore, ObjectStoreExt, memory::InMemory, path::Path};

use super::Folders;
use crate::config::BatchesConfig;

/// Folders of this machine and elsewhere, with something of two tenants in each.
async fn folders() -> (tempfile::TempDir, Folders) {
    let directory = tempfile::tempdir().unwrap();
    let store = InMemory::new();
    for (path, text) in [("acme/a b.json", "mine"), ("acme/deep/x.json", "deep"), ("rival/r.json", "another's")] {
        let file = directory.path().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
        store.put(&Path::from(path), text.into()).await.unwrap();
    }
    fs::write(directory.path().join("acme/long.json"), [b'x'; 101]).unwrap();
    store.put(&Path::from("acme/long.json"), vec![b'x'; 101].into()).await.unwrap();
    let local = format!("file://{}", directory.path().display());
    let config =
        BatchesConfig { folders: vec![local, "s3://b/drops".to_owned()], object_bytes_max: 100, ..Default::default() };
    let mut folders = Folders::new(&config).unwrap();
    let elsewhere = folders.elsewhere();
    assert_eq!(elsewhere, ["s3://b/drops/"]);
    let store: Arc<dyn ObjectStore> = Arc::new(store);
    folders.connect(&elsewhere[0], &store);
    (directory, folders)
}

/// What acme reads at `path` of each folder, or why it reads nothing.
async fn check(folders: &Folders, directory: &tempfile::TempDir, path: &str, expected: Result<&str, ErrorKind>) {
    for root in [format!("file://{}", directory.path().display()), "s3://b/drops".to_owned()] {
        let url = format!("{root}/{path}");
        let found = folders.find(&TenantId::new("acme").unwrap(), &url).await;
        let read = match found {
            Ok(ImportSource::Reader(mut reader)) => {
                let text = move || {
                    let mut text = String::new();
                    reader.read_to_string(&mut text).unwrap();
                    text
                };
                Ok(tokio::task::spawn_blocking(text).await.unwrap())
            }
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.kind()),
        };
        assert_eq!(read.as_deref().map_err(|kind| *kind), expected, "{url}");
    }
}

// T1, T4
#[tokio::test]
async fn a_tenant_reads_its_own_objects_and_cannot_tell_others_from_none() {
    let (directory, folders) = folders().await;
    check(&folders, &directory, "acme/a b.json", Ok("mine")).await;
    check(&folders, &directory, "acme/a%20b.json", Ok("mine")).await;
    check(&folders, &directory, "acme/deep/x.json", Ok("deep")).await;
    for other in [
        "rival/r.json",
        "acme/../rival/r.json",
        "acme/%2e%2e/rival/r.json",
        "acme/deep/..%2f..%2frival/r.json",
        "acme/none.json",
        "acme/deep",
        "acme/",
        "acme",
        "",
        "acmex/a.json",
    ] {
        check(&folders, &directory, other, Err(ErrorKind::NotFound)).await;
    }
    let acme = TenantId::new("acme").unwrap();
    for url in ["/etc/passwd", "file:///etc/passwd", "http://localhost/acme/x", "s3://other/drops/acme/x", ""] {
        assert_eq!(folders.find(&acme, url).await.unwrap_err().kind(), ErrorKind::NotFound, "{url}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_leads_to_what_is_the_tenants_or_nowhere() {
    let (directory, folders) = folders().await;
    let acme = directory.path().join("acme");
    std::os::unix::fs::symlink(directory.path().join("rival/r.json"), acme.join("theirs.json")).unwrap();
    std::os::unix::fs::symlink("/etc", acme.join("etc")).unwrap();
    std::os::unix::fs::symlink(acme.join("deep/x.json"), acme.join("ours.json")).unwrap();
    let read = async |path: &str| {
        let url = format!("file://{}/acme/{path}", directory.path().display());
        folders.find(&TenantId::new("acme").unwrap(), &url).await.map(drop).map_err(|error| error.kind())
    };
    assert_eq!(read("theirs.json").await, Err(ErrorKind::NotFound));
    assert_eq!(read("etc/passwd").await, Err(ErrorKind::NotFound));
    assert_eq!(read("ours.json").await, Ok(()));
}

#[tokio::test]
async fn what_is_too_long_is_refused_before_it_is_read() {
    let (directory, folders) = folders().await;
    check(&folders, &directory, "acme/long.json", Err(ErrorKind::LimitExceeded)).await;
}

#[test]
fn a_folder_that_is_not_there_is_said_to_be_missing() {
    let config = BatchesConfig { folders: vec!["file:///never/there".to_owned()], ..Default::default() };
    assert_eq!(Folders::new(&config).unwrap_err().kind(), ErrorKind::Invalid);
}
