//! `fineo replay` over segments in a cold storage class, which a proxy plays.

use fineo_aws_faults::{Cold, FaultProxy, Plan};

use crate::{
    place::Place,
    program::{Answer, answer},
};

pub(crate) fn are_restored_when_told_to(place: &Place) {
    place.bootstrap();
    let events = r#"{"metrictype":"m","timestamp":1,"a":1}{"metrictype":"m","timestamp":2,"a":2}"#;
    place.program.file("events.json", events);
    place.done(&["ingest", "--tenant", "t", "events.json"]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let proxy = runtime.block_on(FaultProxy::start(place.s3(), Plan::quiet())).unwrap();
    proxy.freeze("/staged/received/", Cold::Glacier, 1);
    let run = |words: &[&str]| -> Answer {
        let words = [&["replay", "--tenant", "t", "--stage", "staged"], words].concat();
        answer(&place.command(&words).env("AWS_ENDPOINT_URL_S3", proxy.url()).output().unwrap())
    };
    let is_told = |words: &[&str]| {
        let told = run(words);
        assert_eq!((told.code, told.stdout.as_str()), (1, ""), "{told:?}");
        for text in ["cold storage class", "staged/received/", "hint: ", "--restore DAYS"] {
            assert!(told.stderr.contains(text), "{text}: {told:?}");
        }
        for text in ["defect", "try again in a moment", "not what was written", "missing"] {
            assert!(!told.stderr.contains(text), "{text}: {told:?}");
        }
    };
    let restored = |words: &[&str]| {
        let words = [&["--restore", "7", "--restore-tier", "expedited"], words].concat();
        let told = run(&words);
        assert_eq!(told.code, 0, "{told:?}");
        let lines: Vec<&str> = told.stderr.lines().filter(|line| line.contains("back")).collect();
        assert_eq!(lines, ["0 of 1 segments are back", "1 of 1 segments are back"], "{told:?}");
        assert!(told.stderr.contains("asking for the others, expedited, for 7 days"), "{told:?}");
        told.stdout
    };
    is_told(&[]);
    assert!(restored(&[]).starts_with("replayed 2, passed 2, rejected 0, repaired 0, new rows 0"));
    let again = run(&["--restore", "7"]);
    assert_eq!((again.code, again.stderr.as_str()), (0, "no segment is cold\n"), "{again:?}");
    // The same of tables that are made anew.
    proxy.expire_restored();
    is_told(&["--fresh"]);
    assert!(restored(&["--fresh"]).contains("2 rows out"));
    assert_eq!(proxy.tally().fault("a restore was begun"), 2, "{}", proxy.tally());
}
