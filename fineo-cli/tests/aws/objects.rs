//! `fineo ingest s3://…`.

use std::io::Write;

use crate::{
    place::Place,
    program::{answer, counts},
};

fn event(number: u32) -> String {
    format!("{{\"metrictype\":\"m\",\"timestamp\":{number},\"a\":{number}}}\n")
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn are_taken_in(place: &Place) {
    place.put(&[
        ("drops/1/a.json", event(1).into()),
        ("drops/1/b.json.gz", gzip(&event(2))),
        ("drops/1/deep/c.zst", zstd::encode_all(event(3).as_bytes(), 1).unwrap()),
        ("drops/1/d.CSV.gz", gzip("metrictype,timestamp,a\nm,4,4\nm,5,5\n")),
        ("drops/1/nothing.json", Vec::new()),
        ("drops/1-beside.json", event(6).into()),
        ("drops/a b%41.json", event(7).into()),
    ]);
    // Where events are kept is one question, where they come from another: these go into a directory.
    let take_in = |names: &[&str]| {
        let urls: Vec<String> = names.iter().map(|name| format!("s3://{}/{name}", place.prefix)).collect();
        let words = ["ingest", "--backend", "local", "--tenant", "t", "--output", "json"];
        let words: Vec<&str> = words.into_iter().chain(urls.iter().map(String::as_str)).collect();
        let summary: serde_json::Value = serde_json::from_str(&place.done(&words)).unwrap();
        (counts(&summary), summary["files"].as_u64().unwrap())
    };
    assert_eq!(take_in(&["drops/1"]), ([5, 0, 0], 4), "a folder is everything below it and nothing beside it");
    assert_eq!(take_in(&["drops/1/", "drops/1-beside.json"]), ([6, 0, 5], 5));
    assert_eq!(take_in(&["drops/a b%41.json"]), ([1, 0, 0], 1), "a key is taken letter by letter");
    assert_eq!(place.program.ask("SELECT sum(CAST(a AS INT)) AS a FROM m"), "a\n28\n");
}

pub(crate) fn are_named(place: &Place) {
    let whole = gzip(&(0..1_000).map(event).collect::<String>());
    place.put(&[("cut.json.gz", whole[..whole.len() - 9].to_vec()), ("good.json", event(1).into())]);
    let (good, cut) = (format!("s3://{}/good.json", place.prefix), format!("s3://{}/cut.json.gz", place.prefix));
    let ingest = |names: &[&str]| {
        let words = ["ingest", "--backend", "local", "--tenant", "t"];
        place.command(&words.into_iter().chain(names.iter().copied()).collect::<Vec<_>>())
    };
    for (names, told) in [
        (vec![good.as_str(), "none.json"], "none.json"),
        (vec![good.as_str(), &format!("s3://{}/none", place.prefix)], "nothing in a folder of this name"),
        (vec!["s3://no-such-bucket-anywhere/x"], "no such bucket"),
        (vec!["s3://"], "s3://bucket/folder"),
        (vec![cut.as_str()], cut.as_str()),
    ] {
        let answer = answer(&ingest(&names).output().unwrap());
        assert_eq!(answer.code, 1, "{names:?}: {answer:?}");
        assert!(answer.stderr.contains(told), "{names:?}: {answer:?}");
    }
    let nobody = ingest(&[&good]).env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY").output();
    let nobody = answer(&nobody.unwrap());
    assert!(nobody.stderr.contains("no credentials were found") && nobody.stderr.contains("AWS_PROFILE"), "{nobody:?}");
    let unreachable = answer(&ingest(&[&good]).env("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9").output().unwrap());
    assert!(unreachable.stderr.contains("look at the region, at AWS_ENDPOINT_URL"), "{unreachable:?}");
}
