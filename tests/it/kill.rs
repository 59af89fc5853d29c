//! A real process that ingests and is killed at random moments: what it acknowledged is there, once.

use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
};

use fineo::{CompactOptions, Fineo, ingest::PipelineOptions};
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::support::{ingest, rows, tenant};

const CHILD_DIRECTORY: &str = "FINEO_TEST_CHILD_DIRECTORY";
const CHILD_FIRST: &str = "FINEO_TEST_CHILD_FIRST";
const ROUNDS: u32 = 100;
const BATCH: u64 = 20;

// D1, D3, I2, N3, N12: the child says a batch's last number after its acknowledgement and is killed after a random number
// of acknowledgements, in the middle of whatever it does then.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_kills_lose_and_double_nothing_that_was_acknowledged() {
    if let Ok(directory) = env::var(CHILD_DIRECTORY) {
        return child(Path::new(&directory), env::var(CHILD_FIRST).unwrap().parse().unwrap()).await;
    }
    let seed = env::var("FINEO_TEST_SEED").map_or(2026, |seed| seed.parse().unwrap());
    println!("FINEO_TEST_SEED={seed}");
    let mut chance = StdRng::seed_from_u64(seed);
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    let mut next = 0;
    for _ in 0..ROUNDS {
        let batches = chance.random_range(0..6);
        let spins = chance.random_range(0..200_000);
        let last = killed_child(directory.path(), next, batches, spins);
        if let Some(last) = last {
            acknowledged.extend(next..=last);
            next = last + 1;
        }
        // Numbers that were sent and not acknowledged may be there or not; they are never sent again.
        next += 4 * BATCH;
    }

    let fineo = Fineo::local(directory.path()).open().await.unwrap();
    fineo.wait_until_drained().await.unwrap();
    let stored = rows(&fineo, &tenant("acme"), "SELECT CAST(n AS BIGINT) AS n FROM m ORDER BY n").await;
    let stored: Vec<u64> = stored.iter().map(|line| line.parse().unwrap()).collect();
    assert!(stored.windows(2).all(|pair| pair[0] < pair[1]), "seed {seed}: doubled");
    let lost: Vec<&u64> = acknowledged.iter().filter(|number| stored.binary_search(number).is_err()).collect();
    assert!(lost.is_empty(), "seed {seed}: lost {lost:?} of {}", acknowledged.len());
    assert!(acknowledged.len() > 1000, "the children acknowledged only {}", acknowledged.len());
}

/// Runs a child until it acknowledged `batches` batches and `spins` turns of this loop more, kills it, and answers the last
/// number that it acknowledged.
fn killed_child(directory: &Path, first: u64, batches: u32, spins: u32) -> Option<u64> {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "kill::a_hundred_kills_lose_and_double_nothing_that_was_acknowledged", "--nocapture"])
        .env(CHILD_DIRECTORY, directory)
        .env(CHILD_FIRST, first.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut last = None;
    let mut seen = 0;
    let mut acknowledgement = |line: std::io::Result<String>| {
        if let Some(number) = line.ok().as_deref().and_then(|line| line.strip_prefix("acknowledged ")) {
            last = number.parse().ok();
            seen += 1;
        }
        seen
    };
    for line in lines.by_ref() {
        if acknowledgement(line) >= batches {
            break;
        }
    }
    for turn in 0..spins {
        std::hint::black_box(turn);
    }
    child.kill().unwrap();
    // What it acknowledged until the kill came through counts too.
    for line in lines {
        acknowledgement(line);
    }
    child.wait().unwrap();
    last
}

async fn child(directory: &Path, first: u64) {
    // So that short lives meet every step of a cut.
    let small_cuts = PipelineOptions::default().with_cut_bytes(16 << 10);
    let fineo = Fineo::local(directory).with_pipeline(small_cuts).open().await.unwrap();
    let acme = tenant("acme");
    for batch in 0.. {
        let start = first + batch * BATCH;
        let events: String = (start..start + BATCH)
            .map(|n| format!("{{\"metrictype\":\"m\",\"timestamp\":{},\"n\":{n}}}\n", n * 1000))
            .collect();
        let receipt = fineo.ingest(&acme, events).await.unwrap();
        assert!(receipt.rejected().is_empty() && receipt.failed().is_empty(), "{receipt:?}");
        let mut out = std::io::stdout().lock();
        writeln!(out, "\nacknowledged {}", start + BATCH - 1).unwrap();
        out.flush().unwrap();
    }
}

/// Copies what is below `from` and `is_wanted` to below `to`.
fn copy(from: &Path, to: &Path, is_wanted: &dyn Fn(&Path) -> bool) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().unwrap().is_dir() {
            copy(&path, &target, is_wanted);
        } else if is_wanted(&path) {
            fs::create_dir_all(to).unwrap();
            fs::copy(path, target).unwrap();
        }
    }
}

// N11, N12: a run that was killed right before it committed left files and their checksums, and the next one writes the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_compaction_that_was_killed_before_its_commit_is_finished_by_the_next() {
    let place = tempfile::tempdir().unwrap();
    let (killed, whole) = (place.path().join("killed"), place.path().join("whole"));
    let fineo = Fineo::local(&killed).open().await.unwrap();
    ingest(&fineo, &tenant("acme"), r#"{"metrictype":"m","timestamp":1,"n":1}{"metrictype":"m","timestamp":2,"n":2}"#)
        .await;
    fineo.close().await.unwrap();
    copy(&killed, &whole, &|_| true);
    let fineo = Fineo::local(&whole).open().await.unwrap();
    fineo.compact(CompactOptions::default()).await.unwrap();
    fineo.close().await.unwrap();
    let is_left = |path: &Path| {
        let path = path.to_string_lossy();
        path.contains("/day=") && (path.ends_with(".parquet") || path.ends_with(".sums"))
    };
    copy(&whole.join("tables"), &killed.join("tables"), &is_left);
    let fineo = Fineo::local(&killed).open().await.unwrap();
    let report = fineo.compact(CompactOptions::default()).await.unwrap();
    assert!(report.failed.is_empty(), "{report:?}");
    let tables = fineo.tables(&tenant("acme")).await.unwrap();
    assert_eq!(tables.iter().map(|table| (table.files, table.rows)).collect::<Vec<_>>(), [(1, 2)]);
    assert_eq!(rows(&fineo, &tenant("acme"), "SELECT n FROM m ORDER BY 1").await, ["1", "2"]);
    fineo.close().await.unwrap();
}
