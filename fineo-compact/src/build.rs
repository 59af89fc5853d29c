//! Records into columns: each cell to exactly one place, straight from the bytes of its record.

use std::sync::Arc;

use arrow_array::{
    ArrayRef,
    builder::{BinaryBuilder, StringBuilder, TimestampMicrosecondBuilder},
};
use fineo_core::{Error, Position, Result};
use fineo_schema::{
    FieldType, Identity, Metric, RecordHead, RecordLayout, RecordValue, SentName, TenantSchema, ValueVisitor,
};

use crate::{
    column::{ColumnBuilder, ColumnChunk},
    entry::{COMMITTED, Entry},
    names::{Guesses, Names},
    plan::{Plan, Target},
    print::print,
};

/// What all files of one metric's run share.
#[derive(Debug)]
pub(crate) struct Recipe {
    /// The schema of the run.
    pub(crate) schema: Arc<TenantSchema>,
    /// The metric under it; none for one that is gone.
    pub(crate) metric: Option<Arc<Metric>>,
    /// The layouts of the records, by their numbers.
    pub(crate) layouts: Vec<Arc<RecordLayout>>,
    /// By the number of a layout, then by slot: the number of the name; none for one that no record has.
    slots: Vec<Vec<Option<u32>>>,
    /// The names of the records.
    pub(crate) names: Names,
    /// Which columns there are.
    pub(crate) plan: Plan,
    /// By the number of a name: where its cells go.
    pub(crate) targets: Vec<Option<Target>>,
    /// By the number of a name: its place among all names in order of their texts.
    pub(crate) order: Vec<u32>,
    /// By the number of a name, then of a shard: up to where its values are unreadable for ever.
    pub(crate) deletions: Vec<Option<Vec<Option<Position>>>>,
}

impl Recipe {
    /// Prepares `plan` for the records of `names`; `shards` are numbered as in the entries.
    pub(crate) fn new(
        schema: Arc<TenantSchema>,
        metric: Option<Arc<Metric>>,
        layouts: Vec<Arc<RecordLayout>>,
        names: Names,
        plan: Plan,
        shards: &[fineo_core::ShardId],
    ) -> Self {
        let targets = names.iter().map(|name| plan.target(name)).collect();
        let mut by_text: Vec<u32> = (0..u32::try_from(names.len()).expect("names have numbers")).collect();
        by_text.sort_by_key(|number| Arc::clone(names.text(*number)));
        let mut order = vec![0; names.len()];
        for (place, number) in (0_u32..).zip(by_text) {
            order[number as usize] = place;
        }
        let unreadable = |name: &Arc<str>| metric.as_ref().and_then(|metric| metric.unreadable_through(name));
        let by_shard =
            |cover: &fineo_core::Cover| shards.iter().map(|shard| cover.last(shard)).collect::<Vec<Option<Position>>>();
        let deletions = names.iter().map(|name| unreadable(name).map(by_shard)).collect();
        let slots = |layout: &Arc<RecordLayout>| layout.slot_names().map(|name| names.find(name)).collect();
        let slots = layouts.iter().map(slots).collect();
        Self { schema, metric, layouts, slots, names, plan, targets, order, deletions }
    }

    fn is_deleted(&self, name: u32, entry: &Entry<'_>) -> bool {
        let through = self.deletions[name as usize].as_ref();
        let through = through.and_then(|by_shard| by_shard.get(usize::from(entry.shard)).copied().flatten());
        through.is_some_and(|through| entry.position <= through)
    }

    /// Whether a re-send of the event may have other content, which is then told by the content's hash.
    fn keeps_content(&self, entry: &Entry<'_>, head: &RecordHead<'_>) -> bool {
        let is_by_key = || {
            let metric = self.metric.as_ref();
            metric.is_some_and(|metric| metric.identity_at(&self.schema, head.written_at) == Identity::Key)
        };
        head.content.0 != head.id.0 && (entry.shard == COMMITTED || is_by_key())
    }

    pub(crate) fn layout(&self, entry: &Entry<'_>) -> Result<&RecordLayout> {
        let layout = self.layouts.get(entry.layout as usize);
        layout
            .map(|layout| &**layout)
            .ok_or_else(|| Error::internal("an entry has a layout that the run does not have"))
    }
}

/// A cell as its record holds it.
#[derive(Debug, Clone, Copy)]
struct CellRef<'a> {
    name: u32,
    value: CellValue<'a>,
}

#[derive(Debug, Clone, Copy)]
enum CellValue<'a> {
    Text(&'a str),
    Typed { field_type: FieldType, value: Option<RecordValue<'a>>, text: Option<&'a str> },
}

/// Collects the cells of a record.
struct Collect<'a, 'b> {
    names: &'b Names,
    guesses: &'b mut Guesses,
    slots: &'b [Option<u32>],
    fields: &'b [(fineo_schema::FieldId, FieldType)],
    cells: &'b mut Vec<CellRef<'a>>,
    is_unknown: bool,
}

impl<'a> Collect<'a, '_> {
    fn push(&mut self, name: Option<u32>, value: CellValue<'a>) {
        match name {
            Some(name) => self.cells.push(CellRef { name, value }),
            None => self.is_unknown = true,
        }
    }
}

impl<'a> ValueVisitor<'a> for Collect<'a, '_> {
    fn undeclared(&mut self, name: &'a str, text: &'a str) {
        let name = self.guesses.find(self.names, name);
        self.push(name, CellValue::Text(text));
    }

    fn declared(&mut self, field: usize, name: SentName<'a>, value: Option<RecordValue<'a>>, text: Option<&'a str>) {
        let field_type = self.fields[field].1;
        let name = match name.slot {
            Some(slot) => self.slots[slot],
            None => self.guesses.find(self.names, name.text),
        };
        self.push(name, CellValue::Typed { field_type, value, text });
    }
}

/// The arrays of some rows.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) rows: usize,
    pub(crate) timestamps: ArrayRef,
    pub(crate) ids: ArrayRef,
    pub(crate) aliases: ArrayRef,
    pub(crate) ingested_at: ArrayRef,
    pub(crate) contents: Option<ArrayRef>,
    pub(crate) rest: Option<ArrayRef>,
    pub(crate) columns: Vec<ColumnChunk>,
}

/// Rows in the making.
#[derive(Debug)]
pub(crate) struct RowsBuilder<'a> {
    recipe: &'a Recipe,
    rows: usize,
    timestamps: TimestampMicrosecondBuilder,
    ids: BinaryBuilder,
    aliases: StringBuilder,
    ingested_at: TimestampMicrosecondBuilder,
    contents: BinaryBuilder,
    has_contents: bool,
    rest: StringBuilder,
    has_rest: bool,
    columns: Vec<ColumnBuilder>,
    scratch: Scratch<'a>,
    /// By the number of a name: whether the rest has a cell of it.
    in_rest: Vec<bool>,
    /// By column, then rank: whether it has a cell of that name.
    in_columns: Vec<Vec<bool>>,
}

/// Kept between rows, so that a row allocates nothing.
#[derive(Debug, Default)]
struct Scratch<'a> {
    cells: Vec<CellRef<'a>>,
    guesses: Guesses,
    /// By column: the cell that fills it, of the row with this number.
    chosen: Vec<(usize, u32)>,
    rest: Vec<u32>,
    text: String,
    json: Vec<u8>,
}

const NO_ROW: usize = usize::MAX;

impl<'a> RowsBuilder<'a> {
    /// No rows yet.
    pub(crate) fn new(recipe: &'a Recipe) -> Self {
        let columns = &recipe.plan.columns;
        let scratch = Scratch { chosen: vec![(NO_ROW, 0); columns.len()], ..Scratch::default() };
        Self {
            recipe,
            rows: 0,
            timestamps: TimestampMicrosecondBuilder::new().with_timezone("UTC"),
            ids: BinaryBuilder::new(),
            aliases: StringBuilder::new(),
            ingested_at: TimestampMicrosecondBuilder::new().with_timezone("UTC"),
            contents: BinaryBuilder::new(),
            has_contents: false,
            rest: StringBuilder::new(),
            has_rest: false,
            columns: columns.iter().map(|column| ColumnBuilder::new(column.value_type, &column.names)).collect(),
            scratch,
            in_rest: vec![false; recipe.names.len()],
            in_columns: columns.iter().map(|column| vec![false; column.names.len()]).collect(),
        }
    }

    /// By the number of a name: whether the rest has a cell of it.
    pub(crate) fn in_rest(&self) -> &[bool] {
        &self.in_rest
    }

    /// By column, then rank: whether it has a cell of that name.
    pub(crate) fn in_columns(&self) -> &[Vec<bool>] {
        &self.in_columns
    }

    /// Adds a record as a row.
    ///
    /// # Errors
    ///
    /// `Corrupt` when it is no record of its layout.
    pub(crate) fn row(&mut self, entry: &Entry<'a>) -> Result<()> {
        let layout = self.recipe.layout(entry)?;
        let mut cells = std::mem::take(&mut self.scratch.cells);
        cells.clear();
        self.scratch.guesses.begin();
        let mut collect = Collect {
            names: &self.recipe.names,
            guesses: &mut self.scratch.guesses,
            slots: &self.recipe.slots[entry.layout as usize],
            fields: layout.fields(),
            cells: &mut cells,
            is_unknown: false,
        };
        let head = layout.read_values(entry.record, entry.id, &mut collect)?;
        if collect.is_unknown {
            return Err(Error::internal("a record has a name that was not seen before"));
        }
        self.place(&cells, entry);
        self.fill(&cells)?;
        self.write_rest(&cells);
        self.scratch.cells = cells;
        self.timestamps.append_value(entry.timestamp.micros());
        self.ids.append_value(entry.id.0);
        self.aliases.append_value(head.alias);
        self.ingested_at.append_value(head.written_at.micros());
        if self.recipe.keeps_content(entry, &head) {
            self.contents.append_value(head.content.0);
            self.has_contents = true;
        } else {
            self.contents.append_null();
        }
        self.rows += 1;
        Ok(())
    }

    /// Decides which cell fills each column; the others go to the rest.
    fn place(&mut self, cells: &[CellRef<'a>], entry: &Entry<'_>) {
        let Scratch { chosen, rest, .. } = &mut self.scratch;
        rest.clear();
        for (number, cell) in (0_u32..).zip(cells) {
            if self.recipe.is_deleted(cell.name, entry) {
                continue;
            }
            let Some(target) = self.recipe.targets[cell.name as usize] else {
                rest.push(number);
                continue;
            };
            let place = &mut chosen[target.column as usize];
            if place.0 != self.rows {
                *place = (self.rows, number);
                continue;
            }
            let other = self.recipe.targets[cells[place.1 as usize].name as usize];
            if other.is_some_and(|other| other.rank <= target.rank) {
                rest.push(number);
            } else {
                rest.push(place.1);
                place.1 = number;
            }
        }
    }

    fn fill(&mut self, cells: &[CellRef<'a>]) -> Result<()> {
        for (index, (row, number)) in self.scratch.chosen.iter().enumerate() {
            if *row != self.rows {
                continue;
            }
            let cell = &cells[*number as usize];
            let column = &mut self.columns[index];
            let rank = self.recipe.targets[cell.name as usize].map_or(0, |target| target.rank);
            self.in_columns[index][rank as usize] = true;
            match &cell.value {
                CellValue::Text(text) => column.text(self.rows, rank, text),
                CellValue::Typed { field_type, value, text } if *field_type == column.value_type() => {
                    if !column.value(self.rows, rank, value.as_ref(), *text) {
                        return Err(Error::corrupt("a value of a record is not of its field's type"));
                    }
                }
                CellValue::Typed { text: Some(text), .. } => column.text(self.rows, rank, text),
                CellValue::Typed { field_type, value, text: None } => {
                    self.scratch.text.clear();
                    print(value.as_ref(), *field_type, &mut self.scratch.text);
                    column.text(self.rows, rank, &self.scratch.text);
                }
            }
        }
        Ok(())
    }

    fn write_rest(&mut self, cells: &[CellRef<'a>]) {
        let Scratch { rest, text, json, .. } = &mut self.scratch;
        if rest.is_empty() {
            self.rest.append_null();
            return;
        }
        rest.sort_unstable_by_key(|number| self.recipe.order[cells[*number as usize].name as usize]);
        json.clear();
        for number in rest.iter() {
            let cell = &cells[*number as usize];
            self.in_rest[cell.name as usize] = true;
            json.push(if json.is_empty() { b'{' } else { b',' });
            write_json(self.recipe.names.text(cell.name), json);
            json.push(b':');
            match &cell.value {
                CellValue::Text(text) | CellValue::Typed { text: Some(text), .. } => write_json(text, json),
                CellValue::Typed { field_type, value, text: None } => {
                    text.clear();
                    print(value.as_ref(), *field_type, text);
                    write_json(text, json);
                }
            }
        }
        json.push(b'}');
        self.rest.append_value(std::str::from_utf8(json).expect("made of texts"));
        self.has_rest = true;
    }

    /// The rows since the last call.
    pub(crate) fn finish(&mut self) -> Chunk {
        let rows = std::mem::take(&mut self.rows);
        self.scratch.chosen.fill((NO_ROW, 0));
        let contents: ArrayRef = Arc::new(self.contents.finish());
        let rest: ArrayRef = Arc::new(self.rest.finish());
        Chunk {
            rows,
            timestamps: Arc::new(self.timestamps.finish()),
            ids: Arc::new(self.ids.finish()),
            aliases: Arc::new(self.aliases.finish()),
            ingested_at: Arc::new(self.ingested_at.finish()),
            contents: std::mem::take(&mut self.has_contents).then_some(contents),
            rest: std::mem::take(&mut self.has_rest).then_some(rest),
            columns: self.columns.iter_mut().map(|column| column.finish(rows)).collect(),
        }
    }
}

fn write_json(text: &str, out: &mut Vec<u8>) {
    // Writing a text to memory cannot fail.
    let _ = serde_json::to_writer(out, text);
}
