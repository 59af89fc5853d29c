//! Two tenants' feeds of sensors on AWS and in a directory: the same answers as sent, once repaired, and once compacted.

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use fineo::{
    Builder, CompactOptions, Fineo, ImportOptions, ImportSource, QueryLimits, ReplayRequest, Routing, Stage, TenantId,
    aws::Aws,
};

use crate::support::{aws_options, rows, tenant};

/// The folder of other feeds: a folder for each tenant, with files of events in it.
const FEEDS: &str = "FINEO_FEEDS";
/// Of each feed, one in ten minutes.
const EVENTS: u64 = 240;
/// Large feeds take minutes on emulators.
const DONE_WITHIN: Duration = Duration::from_secs(1_200);

/// Those who put the day first say so late; names differ from feed to feed, and a few mean the same.
const LATE: &str = r#"{"timestamp_formats": ["%d/%m/%Y %H:%M"], "metrics": {
    "air_station": {"fields": {"temperature": {"type": "double", "aliases": ["TEMP"]}}},
    "room": {"fields": {"temperature": {"type": "double", "aliases": ["Temperature"]}}}}}"#;

/// Stations that leave values out, rooms in another form of time, meters whose time nobody can read yet.
fn write_feeds(folder: &Path) {
    for (tenant, file, event) in [
        ("city", "stations-north.ndjson", station as fn(u64) -> String),
        ("city", "stations-south.ndjson", |number| station(number).replace("north", "south")),
        ("houses", "rooms.ndjson", room),
        ("houses", "meters.ndjson", meter),
    ] {
        fs::create_dir_all(folder.join(tenant)).unwrap();
        let mut events = String::new();
        (0..EVENTS).for_each(|number| writeln!(events, "{}", event(number)).unwrap());
        fs::write(folder.join(tenant).join(file), events).unwrap();
    }
}

fn station(number: u64) -> String {
    let rain = if number % 7 == 0 { "null".to_owned() } else { (number % 3).to_string() };
    let (millis, temp) = (1_362_067_200_000 + number * 600_000, number as f64 / 10.0 - 4.5);
    format!(
        r#"{{"metrictype":"air_station","timestamp":{millis},"station":"north","PM2.5":{number},"TEMP":{temp:.1},"RAIN":{rain}}}"#
    )
}

/// Day, hour and minute of an event.
fn time(number: u64) -> (u64, u64, u64) {
    (number / 144, number / 6 % 24, number % 6 * 10)
}

fn room(number: u64) -> String {
    let ((day, hour, minute), temp) = (time(number), 19.0 + number as f64 / 8.0);
    format!(
        r#"{{"metrictype":"room","timestamp":"2015-02-0{}T{hour:02}:{minute:02}:59Z","Temperature":{temp},"HumidityRatio":0.00479298817650529}}"#,
        1 + day
    )
}

fn meter(number: u64) -> String {
    let ((day, hour, minute), lights) = (time(number), number % 5 * 10);
    format!(
        r#"{{"metrictype":"appliance_meter","timestamp":"{}/02/2016 {hour}:{minute:02}","Appliances":{number},"lights":{lights},"T_out":-2.90}}"#,
        14 + day
    )
}

/// Each tenant's files, in order.
fn feeds(folder: &Path) -> Vec<(TenantId, Vec<PathBuf>)> {
    let listed = |folder: &Path| {
        let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    };
    let of = |path: PathBuf| (tenant(path.file_name().unwrap().to_str().unwrap()), listed(&path));
    listed(folder).into_iter().map(of).collect()
}

/// All that `tenant` can ask: every row of every metric with every column, and what became of what was refused.
async fn everything(fineo: &Fineo, tenant: &TenantId) -> Vec<String> {
    let tables = "SELECT DISTINCT table_name FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1";
    let mut all =
        rows(fineo, tenant, "SELECT code, count(*), count(repaired_at) FROM errors.stream GROUP BY code ORDER BY code")
            .await;
    for table in rows(fineo, tenant, tables).await {
        if table.starts_with("fineo_") {
            continue;
        }
        let columns = format!(
            "SELECT column_name FROM information_schema.columns
             WHERE table_schema = 'public' AND table_name = '{table}' ORDER BY 1"
        );
        let columns: Vec<String> =
            rows(fineo, tenant, &columns).await.iter().map(|column| format!("\"{column}\"")).collect();
        let sql = format!("SELECT _fineo_event_id, {} FROM \"{table}\"", columns.join(", "));
        let mut found = rows(fineo, tenant, &sql).await;
        found.sort();
        all.push(format!("{table}: {} rows of {}", found.len(), columns.join(" ")));
        all.append(&mut found);
    }
    all
}

/// What the tenants are answered after each step of the program, which knows nothing of where it runs.
async fn program(
    open: impl AsyncFn() -> Fineo,
    feeds: &[(TenantId, Vec<PathBuf>)],
) -> Vec<(&'static str, Vec<String>)> {
    let fineo = open().await;
    for (tenant, files) in feeds {
        for file in files {
            let options = ImportOptions::new(Routing::Tenant(tenant.clone()));
            let report = fineo.import(ImportSource::Path(file.clone()), options, &|_| {}).await.unwrap();
            fineo.wait_until_visible(&report.token, DONE_WITHIN).await.unwrap();
        }
    }
    let answers = async |fineo: &Fineo| {
        let mut all = Vec::new();
        for (tenant, _) in feeds {
            all.append(&mut everything(fineo, tenant).await);
        }
        all
    };
    let as_sent = answers(&fineo).await;
    fineo.close().await.unwrap();

    // Another process, as a person would begin one for each step.
    let fineo = open().await;
    for (tenant, _) in feeds {
        fineo.schema(tenant).declare(LATE).await.unwrap();
        let errors = ReplayRequest::new(Stage::Raw, tenant.clone()).with_errors_only(true);
        fineo.replay(errors).await.unwrap();
    }
    fineo.wait_until_drained().await.unwrap();
    let repaired = answers(&fineo).await;
    fineo.close().await.unwrap();

    let fineo = open().await;
    let report = fineo.compact(CompactOptions::default()).await.unwrap();
    assert!(report.failed.is_empty(), "{report:?}");
    let compacted = answers(&fineo).await;
    let mut in_files = Vec::new();
    for (tenant, _) in feeds {
        let tables = fineo.tables(tenant).await.unwrap();
        in_files.extend(tables.iter().map(|table| format!("{tenant} {}: {} rows", table.metric, table.rows)));
    }
    fineo.close().await.unwrap();
    vec![("as sent", as_sent), ("repaired", repaired), ("compacted", compacted), ("in files", in_files)]
}

/// Feeds may be large: of two answers only the first lines that differ are told.
fn assert_same(what: &str, left: &[String], right: &[String]) {
    let differs = left.iter().zip(right).find(|(left, right)| left != right);
    assert!(
        differs.is_none() && left.len() == right.len(),
        "{what}: {differs:?}, {} and {} lines",
        left.len(),
        right.len()
    );
}

// D2, I2, U1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn feeds_on_aws_are_answered_as_in_a_directory_as_sent_repaired_and_compacted() {
    let Some(options) = aws_options() else { return };
    let directory = tempfile::tempdir().unwrap();
    let folder = std::env::var_os(FEEDS).map_or_else(|| directory.path().join("feeds"), PathBuf::from);
    if std::env::var_os(FEEDS).is_none() {
        write_feeds(&folder);
    }
    let feeds = feeds(&folder);
    let place = directory.path().join("place");
    let limits = QueryLimits::default().with_time_max(DONE_WITHIN);
    let open = async |place: Builder| place.with_query_limits(limits.clone()).open().await.unwrap();
    let local = Box::pin(program(async || open(Fineo::local(&place)).await, &feeds)).await;
    let aws = Box::pin(program(async || open(Fineo::aws(options.clone())).await, &feeds)).await;
    Aws::connect(options.clone()).await.unwrap().delete_everything().await.unwrap();
    for ((step, local), (_, aws)) in local.iter().zip(&aws) {
        let heads: Vec<&String> = local.iter().filter(|line| line.contains(" rows")).collect();
        println!("{step}: {} lines, {heads:?}", local.len());
        assert_same(step, local, aws);
    }
    let [_, (_, repaired), (_, compacted), (_, in_files)] = local.as_slice() else { panic!("four steps") };
    assert_same("before and after compaction", repaired, compacted);
    assert!(!in_files.is_empty());
    assert!(
        repaired.iter().any(|line| line.starts_with("timestamp_unreadable|")),
        "nothing was repaired: {:?}",
        repaired.first()
    );
}
