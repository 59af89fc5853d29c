//! Results as columns for a person.

use std::io::{self, Write};

use arrow::{
    array::{Array, RecordBatch},
    datatypes::SchemaRef,
};
use unicode_width::UnicodeWidthStr;

use super::{
    ResultWriter, Sink,
    cell::{is_null, is_number, push_text, simplified},
    screen::screened,
};

/// The most rows that are looked at to choose the widths of the columns.
const SAMPLE_ROWS: usize = 1_000;
/// The most bytes of cells that are held for it.
const SAMPLE_BYTES: usize = 1024 * 1024;
/// The most cells that a column is padded to; what is wider is shown whole, and only that row is out of line.
const WIDTH_MAX: usize = 80;
/// The columns of what EXPLAIN answers.
const PLAN_COLUMNS: [&str; 2] = ["plan_type", "plan"];

/// Writes a table. The first rows choose the widths of the columns, so that any number of rows can follow.
pub(crate) struct TableWriter {
    sink: Sink,
    headers: Vec<String>,
    numbers: Vec<bool>,
    /// Whether these are plans, whose lines are for reading.
    is_plan: bool,
    widths: Vec<usize>,
    has_begun: bool,
    sample: Vec<Vec<String>>,
    sample_bytes: usize,
}

impl TableWriter {
    /// A table with the columns of `schema`.
    pub(crate) fn new(schema: &SchemaRef, sink: Sink) -> Self {
        let fields = schema.fields();
        Self {
            sink,
            headers: fields.iter().map(|field| screened(field.name()).into_owned()).collect(),
            numbers: fields.iter().map(|field| is_number(field.data_type())).collect(),
            is_plan: fields.iter().map(|field| field.name().as_str()).eq(PLAN_COLUMNS),
            widths: Vec::new(),
            has_begun: false,
            sample: Vec::new(),
            sample_bytes: 0,
        }
    }

    fn begin(&mut self) -> io::Result<()> {
        self.has_begun = true;
        let mut widths: Vec<usize> = self.headers.iter().map(|header| header.width()).collect();
        for row in &self.sample {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.width().max(*width);
            }
        }
        self.widths = widths.into_iter().map(|width| width.min(WIDTH_MAX)).collect();
        let headers = std::mem::take(&mut self.headers);
        self.sink.write_all(line(&headers, &self.widths, &self.numbers).as_bytes())?;
        let rule: Vec<String> = self.widths.iter().map(|width| "-".repeat(width + 2)).collect();
        writeln!(self.sink, "{}", rule.join("+"))?;
        for row in std::mem::take(&mut self.sample) {
            self.sink.write_all(line(&row, &self.widths, &self.numbers).as_bytes())?;
        }
        Ok(())
    }
}

impl TableWriter {
    /// Prints a row, or keeps it until the widths are known.
    fn push(&mut self, cells: Vec<String>) -> io::Result<()> {
        if self.has_begun {
            return self.sink.write_all(line(&cells, &self.widths, &self.numbers).as_bytes());
        }
        self.sample_bytes += cells.iter().map(String::len).sum::<usize>();
        self.sample.push(cells);
        if self.sample.len() >= SAMPLE_ROWS || self.sample_bytes >= SAMPLE_BYTES {
            self.begin()?;
        }
        Ok(())
    }
}

impl ResultWriter for TableWriter {
    fn write(&mut self, batch: &RecordBatch) -> io::Result<()> {
        let columns: Vec<_> = batch.columns().iter().map(simplified).collect();
        for row in 0..batch.num_rows() {
            let cells = columns.iter().map(|column| text(column, row));
            if self.is_plan {
                for cells in plan_lines(cells.collect()) {
                    self.push(cells)?;
                }
            } else {
                self.push(cells.map(|cell| screened(&cell).into_owned()).collect())?;
            }
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        if !self.has_begun {
            self.begin()?;
        }
        self.sink.flush()
    }
}

fn text(column: &dyn Array, row: usize) -> String {
    if is_null(column, row) {
        return "NULL".to_owned();
    }
    let mut text = String::new();
    push_text(column, row, &mut text);
    text
}

/// A row for each line of a plan; the first of them says which plan it is.
fn plan_lines(cells: Vec<String>) -> Vec<Vec<String>> {
    let [kind, plan] = cells.as_slice() else {
        return vec![cells];
    };
    let kinds = std::iter::once(kind.as_str()).chain(std::iter::repeat(""));
    let lines = kinds.zip(plan.lines());
    lines.map(|(kind, line)| vec![screened(kind).into_owned(), screened(line).into_owned()]).collect()
}

fn line(cells: &[String], widths: &[usize], numbers: &[bool]) -> String {
    let mut line = String::new();
    for (index, cell) in cells.iter().enumerate() {
        if index > 0 {
            line.push('|');
        }
        let padding = " ".repeat(widths[index].saturating_sub(cell.width()));
        let (before, after) = if numbers[index] { (padding.as_str(), "") } else { ("", padding.as_str()) };
        line.push(' ');
        line.push_str(before);
        line.push_str(cell);
        line.push_str(after);
        line.push(' ');
    }
    line.truncate(line.trim_end().len());
    line.push('\n');
    line
}
