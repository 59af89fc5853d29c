//! What a server reads from an object store. Without the emulators of `scripts/services` nothing is asked.

use std::io::Write;

use crate::{
    program::Program,
    serve::{SERVE, Served, said},
};

#[test]
fn a_batch_is_read_from_the_folder_of_its_tenant_on_aws() {
    let Ok(store) = std::env::var("FINEO_TEST_S3_URL") else {
        assert!(std::env::var("FINEO_TEST_AWS").is_err(), "the emulators of AWS are not in the environment");
        eprintln!("not asked on AWS: FINEO_TEST_S3_URL is not set, scripts/services start starts the emulators");
        return;
    };
    let address = store.trim_start_matches("http://").trim_end_matches('/');
    let bucket = format!("drops-{}", std::process::id());
    let put = |path: &str, body: &[u8]| {
        let head = format!("PUT /{bucket}{path} HTTP/1.1\r\ncontent-length: {}\r\n", body.len());
        let answer = said(address, &head, body);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    };
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(b"metrictype,timestamp,temp\nm,1000,1\nm,2000,2\n").unwrap();
    put("", b"");
    put("/in/t/monday.csv.gz", &gzip.finish().unwrap());
    put("/in/rival/secret.json", br#"{"metrictype":"secret","timestamp":1}"#);

    let program = Program::new();
    let config = program.file("server.toml", format!("[batches]\nfolders = ['s3://{bucket}/in']\n"));
    let mut serve = program.command(&format!("{SERVE} --config {}", config.display()));
    for (name, value) in [
        ("AWS_ENDPOINT_URL_S3", store.as_str()),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
    ] {
        serve.env(name, value);
    }
    let served = Served::of(serve);
    let token = program.done("token create --tenant t");
    let take = |path: &str| served.ask(&format!("POST /v1/batches?from=s3://{bucket}/in/{path}"), token.trim());
    let taken = take("t/monday.csv.gz");
    assert!(taken.starts_with("HTTP/1.1 202") && taken.contains("\"accepted\":2"), "{taken}");
    let [rival, missing] = [take("rival/secret.json"), take("t/none.json")];
    assert!(rival.starts_with("HTTP/1.1 404") && missing.starts_with("HTTP/1.1 404"), "{rival}\n{missing}");
    assert_eq!(served.stop(), 0);
    assert_eq!(program.ask("SELECT sum(CAST(temp AS INT)) AS s FROM m"), "s\n3\n");
}
