//! What a data directory shows to somebody who looks into it.

use std::fs;

use fineo::Fineo;

use crate::support::{ingest, tenant};

#[tokio::test]
async fn archives_are_avro_container_files_and_no_path_holds_a_clients_name() {
    let directory = tempfile::tempdir().unwrap();
    let fineo = Fineo::local(directory.path()).open().await.unwrap();
    ingest(&fineo, &tenant("acme"), r#"{"metrictype":"..%2e/evil name","timestamp":1,"f/../g":1}"#).await;
    fineo.close().await.unwrap();

    let mut avro_files = 0;
    let mut folders = vec![directory.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let shown = path.strip_prefix(directory.path()).unwrap().to_string_lossy().into_owned();
            assert!(!shown.contains("evil") && !shown.contains("f/../g"), "{shown}");
            if path.is_dir() {
                folders.push(path);
            } else if shown.ends_with(".avro") {
                assert!(fs::read(&path).unwrap().starts_with(b"Obj\x01"), "{shown} is no Avro container file");
                avro_files += 1;
            }
        }
    }
    assert!(avro_files >= 2, "raw and staged are both archived, found {avro_files} files");
}
