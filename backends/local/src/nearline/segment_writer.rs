//! Writes a segment: the rows of one or more sources, sorted by time and id.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use fineo_core::{Error, EventId, Position, Result};

use super::{
    bloom::Bloom,
    footer::{ColumnPlace, Footer, HeadPlaces},
    hash::id_hash,
    heads::{Contents, narrow},
    image::{ImageWriter, Section},
    manifest::{SegmentEntry, TableKey},
    pack::Pack,
    segment::ROWS_PER_MARK,
    source::{Cells, RowSource, Which},
    text::{ABSENT, Texts},
};

/// Rows to write, and those of them to leave out.
pub(super) struct Input<'a> {
    pub(super) rows: &'a dyn RowSource,
    /// Marks the rows to leave out; empty for none.
    pub(super) is_gone: Vec<bool>,
}

/// Where a segment goes.
#[derive(Debug)]
pub(super) struct Target<'a> {
    pub(super) key: &'a TableKey,
    pub(super) pack: &'a Arc<Pack>,
    /// Where in the pack.
    pub(super) start: u64,
    pub(super) number: u64,
}

/// The rows of all inputs in their new order, and back.
struct Order {
    /// Input and row there, by new row.
    places: Vec<(u32, u32)>,
    /// New row by input and row there; [`ABSENT`] for those left out.
    new_rows: Vec<Vec<u32>>,
    timestamps: Vec<i64>,
    ids: Vec<EventId>,
}

/// Writes a segment of `inputs`, which have at least one row; answers its entry and where the next may begin.
pub(super) fn write(target: &Target<'_>, inputs: &[Input<'_>]) -> Result<(SegmentEntry, u64)> {
    let order = order(inputs)?;
    let mut image = ImageWriter::new(Arc::clone(target.pack), target.start);
    let rows = u32::try_from(order.places.len()).map_err(|_| Error::internal("segment has too many rows"))?;
    let hashes: Vec<u64> = order.ids.iter().map(id_hash).collect();
    let (hash_section, hash_rows) = write_hashes(&mut image, &hashes)?;
    let (position_section, positions) = write_positions(&mut image, &order, inputs)?;
    let heads = HeadPlaces {
        rows,
        timestamps: write_numbers(&mut image, &order.timestamps)?,
        ingested: write_ingested(&mut image, &order, inputs)?,
        ids: write_ids(&mut image, &order.ids)?,
        contents: write_contents(&mut image, &order, inputs)?,
        positions: position_section,
        hashes: hash_section,
        hash_rows,
    };
    let footer = Footer {
        heads,
        alias: write_column(&mut image, &order, inputs, Which::Alias)?,
        shard: write_column(&mut image, &order, inputs, Which::Shard)?,
        columns: write_columns(&mut image, &order, inputs)?,
    };
    let footer = image.section(&footer.encode())?;
    let finished = image.finish(&tail(&order.timestamps, &hashes))?;
    let entry = SegmentEntry {
        number: target.number,
        tenant: target.key.0.to_string(),
        metric: target.key.1.to_string(),
        pack: target.pack.number,
        start: target.start,
        rows,
        time_min: order.timestamps.first().copied().unwrap_or(0),
        time_max: order.timestamps.last().copied().unwrap_or(0),
        blocks: finished.blocks,
        footer,
        tail: finished.tail,
        tail_checksum: finished.tail_checksum,
        positions,
    };
    Ok((entry, finished.next))
}

fn order(inputs: &[Input<'_>]) -> Result<Order> {
    let mut sortable: Vec<(i64, u32, u32)> = Vec::new();
    let mut ids = Vec::new();
    for (number, input) in inputs.iter().enumerate() {
        let number = u32::try_from(number).expect("few inputs");
        for (row, timestamp) in input.rows.timestamps()?.into_iter().enumerate() {
            if !input.is_gone.get(row).copied().unwrap_or(false) {
                sortable.push((timestamp, number, u32::try_from(row).expect("a source is bounded")));
            }
        }
        ids.push(input.rows.ids()?);
    }
    let id = |input: u32, row: u32| ids[input as usize][row as usize];
    // Rows mostly come in order of time, which a stable sort makes use of.
    sortable.sort_by(|one, other| one.0.cmp(&other.0).then_with(|| id(one.1, one.2).cmp(&id(other.1, other.2))));
    let mut new_rows: Vec<Vec<u32>> = ids.iter().map(|ids| vec![ABSENT; ids.len()]).collect();
    for (new, (_, input, row)) in sortable.iter().enumerate() {
        new_rows[*input as usize][*row as usize] = u32::try_from(new).expect("a segment is bounded");
    }
    let sorted_ids = sortable.iter().map(|(_, input, row)| id(*input, *row)).collect();
    let timestamps = sortable.iter().map(|(timestamp, _, _)| *timestamp).collect();
    let places = sortable.into_iter().map(|(_, input, row)| (input, row)).collect();
    Ok(Order { places, new_rows, timestamps, ids: sorted_ids })
}

/// The values of all inputs in their new order.
fn gather<T: Copy>(order: &Order, values: &[Vec<T>]) -> Vec<T> {
    order.places.iter().map(|(input, row)| values[*input as usize][*row as usize]).collect()
}

fn all<T>(inputs: &[Input<'_>], of: impl Fn(&dyn RowSource) -> Result<T>) -> Result<Vec<T>> {
    inputs.iter().map(|input| of(input.rows)).collect()
}

fn write_numbers(image: &mut ImageWriter, numbers: &[i64]) -> Result<Section> {
    let offset = image.begin()?;
    let mut chunk = Vec::with_capacity(8 * 1024);
    for numbers in numbers.chunks(1024) {
        chunk.clear();
        numbers.iter().for_each(|number| chunk.extend_from_slice(&number.to_le_bytes()));
        image.put(&chunk)?;
    }
    Ok(image.end(offset))
}

fn write_ingested(image: &mut ImageWriter, order: &Order, inputs: &[Input<'_>]) -> Result<Section> {
    let ingested = gather(order, &all(inputs, |rows| rows.ingested())?);
    write_numbers(image, &ingested)
}

fn write_ids(image: &mut ImageWriter, ids: &[EventId]) -> Result<Section> {
    let offset = image.begin()?;
    for id in ids {
        image.put(&id.0)?;
    }
    Ok(image.end(offset))
}

fn write_contents(image: &mut ImageWriter, order: &Order, inputs: &[Input<'_>]) -> Result<Section> {
    let by_input = all(inputs, |rows| rows.contents())?;
    let content = |((input, row), id): (&(u32, u32), &EventId)| by_input[*input as usize].get(*row as usize, *id);
    let contents = order.places.iter().zip(&order.ids).map(content);
    let are_ids = by_input.iter().all(Contents::are_ids);
    if are_ids || contents.clone().zip(&order.ids).all(|(content, id)| content.0 == id.0) {
        return Ok(Section::default());
    }
    let offset = image.begin()?;
    for content in contents {
        image.put(&content.0)?;
    }
    Ok(image.end(offset))
}

/// Per shard, the first and the last position, as text.
type Bounds = BTreeMap<String, (String, String)>;

/// Writes positions, in eight bytes where all fit, and answers the first and last of each shard.
fn write_positions(image: &mut ImageWriter, order: &Order, inputs: &[Input<'_>]) -> Result<(Section, Bounds)> {
    let by_input = all(inputs, |rows| rows.positions())?;
    let mut bounds: BTreeMap<String, (Position, Position)> = BTreeMap::new();
    for ((input, positions), new_rows) in inputs.iter().zip(&by_input).zip(&order.new_rows) {
        let shards = input.rows.cells(Which::Shard)?.unwrap_or_default();
        let mut by_code: Vec<Option<(Position, Position)>> = vec![None; shards.ends.len()];
        for (row, code) in shards.rows.iter().zip(&*shards.codes) {
            let Some(bound) = by_code.get_mut(*code as usize) else { continue };
            if new_rows[*row as usize] != ABSENT {
                let position = positions.get(*row as usize);
                let (first, last) = bound.unwrap_or((position, position));
                *bound = Some((first.min(position), last.max(position)));
            }
        }
        for (code, bound) in (0_u32..).zip(by_code) {
            let (Some((first, last)), Some(shard)) = (bound, shards.text(code)) else { continue };
            let known = bounds.entry(shard.to_owned()).or_insert((first, last));
            *known = (known.0.min(first), known.1.max(last));
        }
    }
    let positions = order.places.iter().map(|(input, row)| by_input[*input as usize].get(*row as usize));
    let offset = image.begin()?;
    if positions.clone().all(|position| narrow(position).is_some()) {
        for number in positions.filter_map(narrow) {
            image.put(&number.to_le_bytes())?;
        }
    } else {
        for position in positions {
            image.put(&position.to_bytes())?;
        }
    }
    let text = |(shard, (first, last)): (String, (Position, Position))| (shard, (first.to_string(), last.to_string()));
    Ok((image.end(offset), bounds.into_iter().map(text).collect()))
}

fn write_hashes(image: &mut ImageWriter, hashes: &[u64]) -> Result<(Section, Section)> {
    let mut sorted: Vec<(u64, u32)> = hashes.iter().copied().zip(0..).collect();
    sorted.sort_unstable();
    let offset = image.begin()?;
    for (hash, _) in &sorted {
        image.put(&hash.to_le_bytes())?;
    }
    let hash_section = image.end(offset);
    let offset = image.begin()?;
    for (_, row) in &sorted {
        image.put(&row.to_le_bytes())?;
    }
    Ok((hash_section, image.end(offset)))
}

fn write_columns(image: &mut ImageWriter, order: &Order, inputs: &[Input<'_>]) -> Result<Vec<ColumnPlace>> {
    let mut names: Vec<Arc<str>> = all(inputs, |rows| rows.names())?.concat();
    names.sort_unstable();
    names.dedup();
    let mut columns = Vec::with_capacity(names.len());
    for name in names {
        let column = write_column(image, order, inputs, Which::Name(&name))?;
        if column.cells > 0 {
            columns.push(column);
        }
    }
    Ok(columns)
}

/// The cells of all inputs under one numbering of texts, as new row and number.
struct Merged<'a> {
    text: Cow<'a, str>,
    ends: Cow<'a, [u32]>,
    cells: Vec<(u32, u32)>,
}

fn merged<'a>(order: &Order, inputs: &'a [Input<'_>], which: Which<'_>) -> Result<Merged<'a>> {
    if let ([input], [new_rows]) = (inputs, order.new_rows.as_slice())
        && input.is_gone.is_empty()
    {
        let cells = input.rows.cells(which)?.unwrap_or_default();
        let pairs = cells.rows.iter().map(|row| new_rows[*row as usize]).zip(cells.codes.iter().copied()).collect();
        return Ok(Merged { text: cells.text, ends: cells.ends, cells: pairs });
    }
    let mut texts = Texts::new(0);
    let mut pairs = Vec::new();
    for (input, new_rows) in inputs.iter().zip(&order.new_rows) {
        let cells: Cells<'_> = input.rows.cells(which)?.unwrap_or_default();
        let mut numbers = vec![ABSENT; cells.ends.len()];
        for (row, code) in cells.rows.iter().zip(&*cells.codes) {
            let new_row = new_rows[*row as usize];
            if new_row == ABSENT {
                continue;
            }
            let damaged = || Error::internal("cell without a text");
            let number = numbers.get_mut(*code as usize).ok_or_else(damaged)?;
            if *number == ABSENT {
                *number = texts.intern(cells.text(*code).ok_or_else(damaged)?);
            }
            pairs.push((new_row, *number));
        }
    }
    let (text, ends) = texts.parts();
    Ok(Merged { text: text.to_owned().into(), ends: ends.to_vec().into(), cells: pairs })
}

fn write_column(image: &mut ImageWriter, order: &Order, inputs: &[Input<'_>], which: Which<'_>) -> Result<ColumnPlace> {
    let name = match which {
        Which::Alias | Which::Shard => "",
        Which::Name(name) => name,
    };
    let mut merged = merged(order, inputs, which)?;
    let rows = order.places.len();
    let texts = u32::try_from(merged.ends.len()).expect("a segment is bounded");
    let is_full = merged.cells.len() == rows;
    let codes_max = texts + u32::from(!is_full);
    let width: u8 = match codes_max {
        0 | 1 if is_full => 0,
        0..=0x100 => 1,
        0x101..=0x1_0000 => 2,
        _ => 4,
    };
    let offset = image.begin()?;
    for ends in merged.ends.chunks(1024) {
        let bytes: Vec<u8> = ends.iter().flat_map(|end| end.to_le_bytes()).collect();
        image.put(&bytes)?;
    }
    image.put(merged.text.as_bytes())?;
    let dictionary = image.end(offset);
    let cells = u32::try_from(merged.cells.len()).expect("a segment is bounded");
    let is_sparse = merged.cells.len() * (4 + usize::from(width)) < rows * usize::from(width);
    let mut row_section = Section::default();
    let codes = if is_sparse {
        merged.cells.sort_unstable();
        let offset = image.begin()?;
        for (row, _) in &merged.cells {
            image.put(&row.to_le_bytes())?;
        }
        row_section = image.end(offset);
        write_codes(image, merged.cells.iter().map(|(_, code)| *code), width)?
    } else {
        let mut dense = vec![texts; rows];
        for (row, code) in &merged.cells {
            dense[*row as usize] = *code;
        }
        write_codes(image, dense.into_iter(), width)?
    };
    Ok(ColumnPlace { name: name.into(), texts, dictionary, cells, rows: row_section, codes, width })
}

#[expect(clippy::cast_possible_truncation, reason = "the width was chosen for the largest code")]
fn write_codes(image: &mut ImageWriter, codes: impl ExactSizeIterator<Item = u32>, width: u8) -> Result<Section> {
    let offset = image.begin()?;
    let mut bytes = Vec::with_capacity((codes.len() * usize::from(width)).min(8 << 10));
    for code in codes {
        match width {
            0 => {}
            1 => bytes.push(code as u8),
            2 => bytes.extend_from_slice(&(code as u16).to_le_bytes()),
            _ => bytes.extend_from_slice(&code.to_le_bytes()),
        }
        if bytes.len() >= 8 << 10 {
            image.put(&bytes)?;
            bytes.clear();
        }
    }
    image.put(&bytes)?;
    Ok(image.end(offset))
}

/// The words of the filter with their number, then every so-manieth timestamp.
fn tail(timestamps: &[i64], hashes: &[u64]) -> Vec<u8> {
    let bloom = Bloom::of(hashes);
    let mut tail = (bloom.words().len() as u64).to_le_bytes().to_vec();
    for word in bloom.words() {
        tail.extend_from_slice(&word.to_le_bytes());
    }
    for timestamp in timestamps.iter().step_by(ROWS_PER_MARK) {
        tail.extend_from_slice(&timestamp.to_le_bytes());
    }
    tail
}
