//! The files written, and how a number is spelt in them.

use std::fs::File;
use std::io::{BufWriter, Result, Write};

/// Lines spread evenly, in order, over one or several files.
#[derive(Debug)]
pub struct Output {
    files: Vec<BufWriter<File>>,
    lines: u64,
    lines_per_file: u64,
    bytes: u64,
    total: u64,
}

impl Output {
    /// Opens `files` files for `total` lines; several are numbered before the `.ndjson`.
    pub fn create(path: &str, files: u64, total: u64) -> Result<Self> {
        let open = |path: String| Ok(BufWriter::with_capacity(1 << 20, File::create(path)?));
        let base = path.strip_suffix(".ndjson").unwrap_or(path);
        let files = if files <= 1 {
            vec![open(path.into())?]
        } else {
            (0..files).map(|i| open(format!("{base}.{i:05}.ndjson"))).collect::<Result<Vec<_>>>()?
        };
        Ok(Self { lines_per_file: total.div_ceil(files.len() as u64), files, lines: 0, bytes: 0, total })
    }

    /// Writes one line, its newline included.
    pub fn line(&mut self, line: &[u8]) -> Result<()> {
        let file = ((self.lines / self.lines_per_file) as usize).min(self.files.len() - 1);
        self.files[file].write_all(line)?;
        self.lines += 1;
        self.bytes += line.len() as u64;
        Ok(())
    }

    /// Whether all lines asked for are written.
    pub fn is_full(&self) -> bool {
        self.lines >= self.total
    }

    /// Brings every line to its file and says how many lines and bytes there are.
    pub fn finish(mut self) -> Result<(u64, u64)> {
        for file in &mut self.files {
            file.flush()?;
        }
        Ok((self.lines, self.bytes))
    }
}

/// Appends formatted text; a vector takes all of it.
macro_rules! put {
    ($to:expr, $($text:tt)*) => {{
        use std::io::Write as _;
        write!($to, $($text)*).expect("a vector never refuses a write")
    }};
}
pub(crate) use put;

/// Appends `value` with exactly `decimals` decimals.
pub fn push_number(to: &mut Vec<u8>, value: f64, decimals: u32) {
    let scale = 10i64.pow(decimals);
    let scaled = (value * scale as f64).round() as i64;
    if decimals == 0 {
        put!(to, "{scaled}");
        return;
    }
    if scaled < 0 {
        to.push(b'-');
    }
    let (whole, rest) = (scaled.unsigned_abs() / scale as u64, scaled.unsigned_abs() % scale as u64);
    put!(to, "{whole}.{rest:0width$}", width = decimals as usize);
}
