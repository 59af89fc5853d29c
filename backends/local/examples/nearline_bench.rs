//! Measures the nearline store beside other ways to keep the same rows: Parquet files, redb, a plain file.
//!
//! Prints CPU time (user and system, of the whole process) per row written and per scan.
//!
//! ```text
//! cargo run --release -p fineo-backend-local --example nearline_bench -- 1000000
//! ```

use std::{
    fs::File,
    io::{BufWriter, Read, Write},
    path::Path,
    sync::Arc,
};

use arrow_array::{ArrayRef, Int64Array, RecordBatch, builder::StringBuilder, cast::AsArray};
use arrow_schema::{DataType, Field, Schema};
use fineo_backend_local::{LocalDirectory, LocalOptions};
use fineo_core::{
    ContentHash, EventId, MetricId, NearlineStore, Position, ShardId, TenantId, TimeRange, Timestamp,
    nearline::{Predicate, RowHead, Rows, ScanRequest},
};
use futures::StreamExt;
use parquet::arrow::{ArrowWriter, ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder};
use redb::{Database, ReadableDatabase, TableDefinition};

type AnyResult<T> = Result<T, Box<dyn std::error::Error>>;

const NAMES: [&str; 10] =
    ["device", "firmware", "temp", "humidity", "battery", "status", "lat", "lon", "rssi", "sequence"];
const BATCH: usize = 1000;

/// A generator of rows that repeats.
struct Generator {
    state: u64,
    row: u64,
}

struct Event {
    micros: i64,
    id: u128,
    cells: [String; 10],
}

impl Generator {
    fn next(&mut self, bound: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn event(&mut self) -> Event {
        self.row += 1;
        let late = if self.next(100) < 3 { self.next(3 * 86_400_000_000) } else { 0 };
        let micros = 1_700_000_000_000_000 + self.row as i64 * 600_000 - late as i64;
        let id = u128::from(self.next(u64::MAX)) << 64 | u128::from(self.next(u64::MAX));
        let device = self.next(2000);
        let cells = [
            format!("device-{device:05}"),
            format!("1.{}.0", device % 5),
            format!("{:.1}", 15.0 + self.next(200) as f64 / 10.0),
            format!("{}", 20 + self.next(60)),
            format!("{:.2}", 3.0 + self.next(120) as f64 / 100.0),
            ["ok", "warn", "fail"][self.next(3) as usize].to_owned(),
            format!("{:.5}", 50.0 + self.next(100_000) as f64 / 100_000.0),
            format!("{:.5}", 8.0 + self.next(100_000) as f64 / 100_000.0),
            format!("-{}", 40 + self.next(50)),
            format!("{}", self.row),
        ];
        Event { micros, id, cells }
    }
}

/// CPU seconds of this process so far.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |field: usize| fields.get(field).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) / 1024
}

fn bytes_of(path: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else { return path.metadata().map_or(0, |meta| meta.len()) };
    entries.flatten().map(|entry| bytes_of(&entry.path())).sum()
}

/// Runs `work` so often that its CPU time can be told, and answers milliseconds of it per run.
fn repeated(mut work: impl FnMut() -> usize) -> f64 {
    work();
    let (before, mut runs, mut step) = (cpu(), 0, 1);
    while runs < 5 || cpu() - before < 0.5 {
        for _ in 0..step {
            std::hint::black_box(work());
        }
        runs += step;
        step *= 2;
    }
    (cpu() - before) * 1000.0 / f64::from(runs)
}

fn main() -> AnyResult<()> {
    let rows: usize = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let folder = tempfile::tempdir()?;
    let before = cpu();
    let mut generator = Generator { state: 1, row: 0 };
    let mut generated = 0;
    for _ in 0..rows {
        generated += generator.event().cells.len();
    }
    let generation = (cpu() - before) * 1e6 / generated as f64 * 10.0;
    println!("generation of {rows} rows: {generation:.2} us CPU per row, not counted below");
    let report = |name: &str, cpu_seconds: f64, bytes: u64| {
        let per_row = cpu_seconds * 1e6 / rows as f64 - generation;
        println!(
            "{name:<14} write {per_row:.2} us CPU/row, {} B/row, peak RSS {} MiB",
            bytes / rows as u64,
            resident_mib()
        );
    };
    let only = std::env::args().nth(2);
    let wanted = |name: &str| only.as_deref().is_none_or(|only| only == name);
    if wanted("segments") {
        segments(rows, &folder.path().join("segments"), &report)?;
    }
    if wanted("parquet") {
        parquet_files(rows, &folder.path().join("parquet"), &report)?;
    }
    if wanted("redb") {
        redb_file(rows, &folder.path().join("redb"), &report)?;
    }
    if wanted("plain") {
        plain_file(rows, &folder.path().join("plain"), &report)?;
    }
    Ok(())
}

fn segments(rows: usize, path: &Path, report: &dyn Fn(&str, f64, u64)) -> AnyResult<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (directory, store) = runtime.block_on(async {
        let directory = LocalDirectory::open(path, LocalOptions::default().with_ballast_bytes(0))?;
        let store = directory.nearline();
        let (tenant, metric) = (TenantId::new("acme")?, MetricId::numbered(1));
        let mut generator = Generator { state: 1, row: 0 };
        let before = cpu();
        for batch in 0..rows / BATCH {
            let packed = packed(&mut generator)?;
            let outcomes = store.write(&tenant, &metric, packed).await;
            assert!(outcomes.iter().all(fineo_core::Outcome::is_done));
            if batch % 50 == 49 {
                store.sync().await.into_result()?;
            }
        }
        store.sync().await.into_result()?;
        report("segments", cpu() - before, bytes_of(&path.join("nearline")));
        Ok::<_, Box<dyn std::error::Error>>((directory, store))
    })?;
    scans(&runtime_handle(), &store, rows);
    runtime.block_on(directory.close())?;
    Ok(())
}

fn runtime_handle() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

fn packed(generator: &mut Generator) -> AnyResult<Rows> {
    let mut packed = Rows::new(ShardId::new("s0")?);
    let numbers: Vec<u32> = NAMES.iter().map(|name| packed.name_number(name)).collect();
    for _ in 0..BATCH {
        let event = generator.event();
        let head = RowHead {
            timestamp: Timestamp::from_micros(event.micros)?,
            id: EventId(event.id.to_be_bytes()),
            content: ContentHash(event.id.to_be_bytes()),
            position: Position::from(generator.row),
            ingested_at: Timestamp::from_micros(event.micros + 1000)?,
        };
        packed.row(head, "thermostat");
        for (number, text) in numbers.iter().zip(&event.cells) {
            packed.cell_numbered(*number, text);
        }
    }
    Ok(packed)
}

/// The last 150,000 rows' range, and an hour of it.
fn ranges(rows: usize) -> (TimeRange, TimeRange) {
    let end = 1_700_000_000_000_000 + rows as i64 * 600_000;
    let full = TimeRange { from: end - 150_000 * 600_000, to: end + 1 };
    let hour = TimeRange { from: end - 7_200_000_000, to: end - 3_600_000_000 };
    (full, hour)
}

#[expect(clippy::disallowed_methods, reason = "this is a measurement")]
fn scans(runtime: &tokio::runtime::Runtime, store: &Arc<dyn NearlineStore>, rows: usize) {
    let (range, hour) = ranges(rows);
    let request = |names: &[&str]| {
        ScanRequest::new(TenantId::new("acme").expect("legal"), MetricId::numbered(1)).with_names(names.iter().copied())
    };
    let count = |request: ScanRequest| {
        std::thread::scope(|scope| {
            let counted = scope.spawn(|| {
                runtime.block_on(async {
                    let mut batches = store.scan(request);
                    let mut rows = 0;
                    while let Some(batch) = batches.next().await {
                        rows += batch.expect("a batch").num_rows();
                    }
                    rows
                })
            });
            counted.join().expect("a scan")
        })
    };
    let names = ["device", "temp", "lat"];
    let wide = || request(&names).with_time(range);
    println!("  scan of {} rows, 3 names: {:.2} ms CPU", count(wide()), repeated(|| count(wide())));
    let all = || request(&names);
    println!("  scan of {} rows, 3 names: {:.2} ms CPU", count(all()), repeated(|| count(all())));
    let device = Predicate::AnyText { names: vec!["device".into()], texts: vec!["device-00077".into()] };
    let point = || request(&names).with_time(hour).with_predicate(device.clone());
    println!("  one device in an hour, {} rows: {:.3} ms CPU", count(point()), repeated(|| count(point())));
    let mut walls: Vec<f64> = (0..500)
        .map(|_| {
            let start = std::time::Instant::now();
            count(point());
            start.elapsed().as_secs_f64() * 1000.0
        })
        .collect();
    walls.sort_by(f64::total_cmp);
    println!("    wall p50 {:.3} ms, p99 {:.3} ms, with a thread each", walls[250], walls[495]);
}

fn parquet_files(rows: usize, path: &Path, report: &dyn Fn(&str, f64, u64)) -> AnyResult<()> {
    const FILE_ROWS: usize = 100_000;
    std::fs::create_dir_all(path)?;
    let mut fields = vec![
        Field::new("ts", DataType::Int64, false),
        Field::new("id", DataType::FixedSizeBinary(16), false),
        Field::new("ingested", DataType::Int64, false),
        Field::new("position", DataType::Int64, false),
    ];
    fields.extend(NAMES.iter().map(|name| Field::new(*name, DataType::Utf8, true)));
    let schema = Arc::new(Schema::new(fields));
    let mut generator = Generator { state: 1, row: 0 };
    let before = cpu();
    let mut files = Vec::new();
    for number in 0..rows.div_ceil(FILE_ROWS) {
        let file_path = path.join(format!("{number}.parquet"));
        let mut events: Vec<Event> = (0..FILE_ROWS.min(rows)).map(|_| generator.event()).collect();
        events.sort_by_key(|event| (event.micros, event.id));
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter_values(events.iter().map(|event| event.micros))),
            Arc::new(arrow_array::FixedSizeBinaryArray::try_from_iter(
                events.iter().map(|event| event.id.to_be_bytes()),
            )?),
            Arc::new(Int64Array::from_iter_values(events.iter().map(|event| event.micros + 1000))),
            Arc::new(Int64Array::from_iter_values(events.iter().map(|event| event.micros))),
        ];
        for name in 0..NAMES.len() {
            let mut builder = StringBuilder::new();
            events.iter().for_each(|event| builder.append_value(&event.cells[name]));
            columns.push(Arc::new(builder.finish()));
        }
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns)?;
        let file = File::create(&file_path)?;
        let mut writer = ArrowWriter::try_new(file.try_clone()?, Arc::clone(&schema), None)?;
        writer.write(&batch)?;
        writer.close()?;
        file.sync_all()?;
        files.push(file_path);
    }
    report("parquet", cpu() - before, bytes_of(path));
    let (range, hour) = ranges(rows);
    let scan = |range: TimeRange, device: Option<&str>| {
        let mut found = 0;
        for file in &files {
            let Ok(file) = File::open(file) else { continue };
            let Ok(builder) = ParquetRecordBatchReaderBuilder::try_new(file) else { continue };
            let mask = ProjectionMask::columns(builder.parquet_schema(), ["ts", "device", "temp", "lat"]);
            let Ok(reader) = builder.with_projection(mask).with_batch_size(8192).build() else { continue };
            for batch in reader.flatten() {
                let times = batch.column(0).as_primitive::<arrow_array::types::Int64Type>();
                let devices = batch.column(1).as_string::<i32>();
                let in_range = |row: &usize| range.from <= times.value(*row) && times.value(*row) < range.to;
                let is_wanted = |row: &usize| device.is_none_or(|device| devices.value(*row) == device);
                found += (0..batch.num_rows()).filter(in_range).filter(is_wanted).count();
            }
        }
        found
    };
    print_scans(range, hour, &scan);
    Ok(())
}

fn print_scans(range: TimeRange, hour: TimeRange, scan: &dyn Fn(TimeRange, Option<&str>) -> usize) {
    let device = Some("device-00077");
    println!("  scan of {} rows, 3 names: {:.2} ms CPU", scan(range, None), repeated(|| scan(range, None)));
    let all = TimeRange::ALL;
    println!("  scan of {} rows, 3 names: {:.2} ms CPU", scan(all, None), repeated(|| scan(all, None)));
    println!("  one device in an hour, {} rows: {:.3} ms CPU", scan(hour, device), repeated(|| scan(hour, device)));
}

/// Time and id, so that keys order as time does.
fn key(event: &Event) -> [u8; 24] {
    let mut key = [0; 24];
    key[..8].copy_from_slice(&event.micros.to_be_bytes());
    key[8..].copy_from_slice(&event.id.to_be_bytes());
    key
}

fn value(event: &Event) -> Vec<u8> {
    let mut value = event.micros.to_le_bytes().to_vec();
    for (number, cell) in event.cells.iter().enumerate() {
        value.push(number as u8);
        value.extend_from_slice(&(cell.len() as u16).to_le_bytes());
        value.extend_from_slice(cell.as_bytes());
    }
    value
}

/// Takes the three names out of a value, as a reader of Arrow batches would.
fn read_value(mut value: &[u8], builders: &mut [StringBuilder; 3], device: Option<&str>) -> bool {
    value = &value[8..];
    let mut is_wanted = true;
    while value.len() >= 3 {
        let len = usize::from(u16::from_le_bytes([value[1], value[2]]));
        let text = std::str::from_utf8(&value[3..3 + len]).unwrap_or_default();
        match value[0] {
            0 => {
                is_wanted = device.is_none_or(|device| device == text);
                if !is_wanted {
                    return false;
                }
                builders[0].append_value(text);
            }
            2 => builders[1].append_value(text),
            6 => builders[2].append_value(text),
            _ => {}
        }
        value = &value[3 + len..];
    }
    is_wanted
}

fn redb_file(rows: usize, path: &Path, report: &dyn Fn(&str, f64, u64)) -> AnyResult<()> {
    const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");
    let database = Database::builder().set_cache_size(64 << 20).create(path)?;
    let mut generator = Generator { state: 1, row: 0 };
    let before = cpu();
    for _ in 0..rows / BATCH {
        let transaction = database.begin_write()?;
        {
            let mut table = transaction.open_table(TABLE)?;
            for _ in 0..BATCH {
                let event = generator.event();
                table.insert(&key(&event)[..], &*value(&event))?;
            }
        }
        transaction.commit()?;
    }
    report("redb", cpu() - before, bytes_of(path));
    let (range, hour) = ranges(rows);
    let scan = |range: TimeRange, device: Option<&str>| {
        let transaction = database.begin_read().expect("a transaction");
        let table = transaction.open_table(TABLE).expect("the table");
        let mut builders = std::array::from_fn(|_| StringBuilder::new());
        let (from, to) = (range.from.max(0).to_be_bytes(), range.to.to_be_bytes());
        let found = table.range(&from[..]..&to[..]).expect("a range").flatten();
        found.filter(|(_, value)| read_value(value.value(), &mut builders, device)).count()
    };
    print_scans(range, hour, &scan);
    Ok(())
}

fn plain_file(rows: usize, path: &Path, report: &dyn Fn(&str, f64, u64)) -> AnyResult<()> {
    let mut file = BufWriter::new(File::create(path)?);
    let mut generator = Generator { state: 1, row: 0 };
    let before = cpu();
    for row in 0..rows {
        let value = value(&generator.event());
        file.write_all(&(value.len() as u32).to_le_bytes())?;
        file.write_all(&value)?;
        if row % 50_000 == 49_999 {
            file.flush()?;
            file.get_ref().sync_data()?;
        }
    }
    file.flush()?;
    report("plain file", cpu() - before, bytes_of(path));
    let (range, hour) = ranges(rows);
    let scan = |range: TimeRange, device: Option<&str>| {
        let mut builders = std::array::from_fn(|_| StringBuilder::new());
        let mut bytes = Vec::new();
        File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)).expect("the file");
        let (mut at, mut found) = (0, 0);
        while at + 12 <= bytes.len() {
            let len = u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes")) as usize;
            let value = &bytes[at + 4..at + 4 + len];
            let micros = i64::from_le_bytes(value[..8].try_into().expect("8 bytes"));
            if range.from <= micros && micros < range.to {
                found += usize::from(read_value(value, &mut builders, device));
            }
            at += 4 + len;
        }
        found
    };
    print_scans(range, hour, &scan);
    Ok(())
}
