//! Every layout of a file gives what the nearline conversion makes of the texts.

mod units;
mod writer;

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, FixedSizeBinaryArray, RecordBatch, StringViewArray, TimestampMicrosecondArray},
        datatypes::Schema,
    },
    common::ScalarValue,
    logical_expr::Operator,
    physical_expr::{
        PhysicalExpr,
        expressions::{BinaryExpr, Column as ColumnExpr, lit},
    },
    physical_expr_adapter::PhysicalExprAdapterFactory,
};
use fineo_core::{Cover, Position, ShardId, Timestamp};
use fineo_schema::{FieldId, FieldType, LogicalColumn, Source};
use proptest::prelude::*;

use super::{Bounds, FilePlan, Made, Plans, hinted, made};
use crate::{
    column::{Column, Content},
    convert::{Cells, Converted, RowContext, has_conversions, needs_position},
};
use writer::{Cell, Row, Shape, layout, store};

/// The types that a column may be stored and asked as.
const TYPES: [FieldType; 11] = [
    FieldType::String,
    FieldType::Boolean,
    FieldType::Int,
    FieldType::Long,
    FieldType::Float,
    FieldType::Double,
    FieldType::Decimal { precision: 9, scale: 2 },
    FieldType::Timestamp,
    FieldType::Date,
    FieldType::Bytes,
    FieldType::Json,
];

/// Texts of every kind, written as values are and otherwise.
const TEXTS: [&str; 28] = [
    "1",
    "-0",
    "0",
    "1.0",
    "1.5",
    "20.25",
    "1e3",
    "9007199254740993",
    "123456789012345678901",
    "0.1",
    "3.4028236e38",
    "-7",
    "2147483648",
    "true",
    "TRUE",
    "false",
    "warm",
    "",
    "2026-01-01",
    "2026-01-01T00:00:00Z",
    "2026-01-01 01:02:03.5",
    "1767225600",
    "aGVsbG8=",
    "aGVsbG8",
    "{\"a\": 1}",
    "null",
    "温度",
    "01",
];

fn source(name: &str) -> Source {
    Source { name: name.into(), unreadable_through: None, conversions: Vec::new() }
}

fn column(field_type: Option<FieldType>, sources: Vec<Source>) -> LogicalColumn {
    LogicalColumn { name: "asked".into(), field: field_type.map(|_| FieldId(1)), field_type, sources }
}

/// The slow way: texts under every name, converted as nearline rows are.
fn expected(column: &LogicalColumn, rows: &[Row]) -> ArrayRef {
    let sources: Vec<StringViewArray> =
        column.sources.iter().map(|source| rows.iter().map(|row| row.cell(&source.name)).collect()).collect();
    if !has_conversions(column) && !needs_position(column) {
        return Cells::new(rows.len(), sources.iter()).typed(column.field_type.as_ref()).unwrap();
    }
    let timestamps: Vec<i64> = rows.iter().map(|row| row.at).collect();
    let aliases: StringViewArray = rows.iter().map(|row| Some(row.alias)).collect();
    let shards: StringViewArray = rows.iter().map(|_| Some("s0")).collect();
    let positions = rows.iter().map(|row| Position::from(row.position).to_bytes());
    let positions = FixedSizeBinaryArray::try_from_iter(positions).unwrap();
    let context =
        RowContext { timestamps: &timestamps, aliases: Some(&aliases), positions: Some((&shards, &positions)) };
    Converted { column, context }.values(rows.len(), sources).unwrap()
}

/// One file, and the plan of one column in it.
struct File {
    batch: RecordBatch,
    plans: Plans,
    schema: Arc<Schema>,
    made: Made,
}

impl File {
    fn of(column: &LogicalColumn, rows: &[Row], shape: &Shape) -> Self {
        let layout = layout(shape, rows);
        let batch = store(&layout, rows);
        let times = rows.iter().map(|row| row.at);
        let instant = |at: Option<i64>| Timestamp::from_micros(at.unwrap_or_default()).unwrap();
        let positions: Cover =
            rows.iter().map(|row| (ShardId::new("s0").unwrap(), Position::from(row.position))).collect();
        let bounds = Bounds { first: instant(times.clone().min()), last: instant(times.max()), positions: &positions };
        let made = made(column, &layout, bounds).unwrap();
        let asked = [Column { name: "asked".into(), content: Content::Cells(Arc::new(column.clone())) }];
        let mut plans = Plans::new(&Schema::new(vec![asked[0].field()]));
        let plan = FilePlan::of(&asked, &layout, bounds).unwrap();
        let schema = plans.add(plan, batch.schema().as_ref());
        Self { batch, plans, schema, made }
    }

    fn rewrite(&self, expr: Arc<dyn PhysicalExpr>) -> Arc<dyn PhysicalExpr> {
        let adapter = self.plans.create(Arc::clone(self.plans.schema()), Arc::clone(&self.schema)).unwrap();
        adapter.rewrite(expr).unwrap()
    }

    fn values(&self) -> ArrayRef {
        let asked = Arc::new(ColumnExpr::new(self.plans.schema().field(0).name(), 0));
        let values = self.rewrite(asked).evaluate(&self.batch).unwrap();
        values.into_array(self.batch.num_rows()).unwrap()
    }
}

/// Checks `column` over `rows` stored as `shape`: its values, and that what a test implies leaves no row out.
fn check(column: &LogicalColumn, rows: &[Row], shape: &Shape) -> Made {
    let file = File::of(column, rows, shape);
    let (values, wanted) = (file.values(), expected(column, rows));
    assert_eq!(values.data_type(), wanted.data_type());
    assert_eq!(&values, &wanted, "{column:?}\nstored as {shape:?}\nof {rows:?}\nmade by {:?}", file.made);
    for at in (0..wanted.len()).filter(|at| wanted.is_valid(*at)).step_by(wanted.len() / 8 + 1) {
        let value = ScalarValue::try_from_array(&wanted, at).unwrap();
        for op in [Operator::Eq, Operator::Lt, Operator::LtEq, Operator::Gt, Operator::GtEq] {
            implies(&file, op, &value);
        }
    }
    file.made
}

/// Whatever passes the test passes what it implies of the file's own columns.
fn implies(file: &File, op: Operator, value: &ScalarValue) {
    let asked: Arc<dyn PhysicalExpr> = Arc::new(ColumnExpr::new("asked", 0));
    let test: Arc<dyn PhysicalExpr> = Arc::new(BinaryExpr::new(asked, op, lit(value.clone())));
    let both = hinted(&test).unwrap();
    let rows = file.batch.num_rows();
    let evaluated = |expr: &Arc<dyn PhysicalExpr>| {
        let array = file.rewrite(Arc::clone(expr)).evaluate(&file.batch).unwrap().into_array(rows).unwrap();
        datafusion::arrow::array::AsArray::as_boolean(&array).clone()
    };
    let (implied, passed) = (evaluated(&both[0]), evaluated(&both[1]));
    for row in 0..rows {
        let passes = |tested: &datafusion::arrow::array::BooleanArray| tested.is_valid(row) && tested.value(row);
        assert!(!passes(&passed) || passes(&implied), "{op} {value} leaves out row {row}, made by {:?}", file.made);
    }
}

fn row(number: i64, cells: &[Cell]) -> Row {
    Row { at: 1_000_000 * number, position: number.unsigned_abs(), alias: "m", cells: cells.to_vec() }
}

fn rows_of_texts(name: &'static str) -> Vec<Row> {
    let texts = TEXTS.iter().enumerate();
    let mut rows: Vec<Row> = texts.map(|(number, text)| row(number.try_into().unwrap(), &[(name, text)])).collect();
    rows.push(row(100, &[]));
    rows
}

#[test]
fn a_column_of_any_type_is_read_as_any_other() {
    for stored in TYPES {
        for asked in TYPES.iter().copied().map(Some).chain([None]) {
            let rows = rows_of_texts("v");
            check(&column(asked, vec![source("v")]), &rows, &Shape::of(&[("c", stored, &["v"])]));
        }
    }
}

#[test]
fn a_declared_column_costs_what_its_file_column_costs() {
    let rows = rows_of_texts("v");
    for field_type in TYPES {
        let made = check(
            &column(Some(field_type), vec![source("v"), source("w")]),
            &rows,
            &Shape::of(&[("c", field_type, &["v", "w"])]),
        );
        assert_eq!(made, Made::Column("c".into()), "{field_type}");
    }
    let made = check(&column(None, vec![source("v")]), &rows, &Shape::of(&[("c", FieldType::String, &["v"])]));
    assert_eq!(made, Made::Column("c".into()));
    let made = check(&column(None, vec![source("x")]), &rows, &Shape::of(&[("c", FieldType::String, &["v"])]));
    assert_eq!(made, Made::Absent);
}

/// Every way to spread three names over columns and the rest.
fn shapes(stored: [FieldType; 2]) -> Vec<Shape> {
    let [one, other] = stored;
    vec![
        Shape::of(&[]),
        Shape::of(&[("c", one, &["a"])]),
        Shape::of(&[("c", one, &["a", "b"])]),
        Shape::of(&[("c", one, &["b", "a"])]),
        Shape::of(&[("c", one, &["a", "b", "x"])]),
        Shape::of(&[("c", one, &["c", "b", "a"])]),
        Shape::of(&[("c", one, &["a", "c"]), ("d", other, &["b"])]),
        Shape::of(&[("c", one, &["c", "a"]), ("d", other, &["b", "x"])]),
        Shape::of(&[("c", one, &["b"]), ("d", other, &["a"])]),
        Shape::of(&[("c", one, &["x"])]),
    ]
}

/// Rows with every subset of the names.
fn rows_of_names() -> Vec<Row> {
    let names = ["a", "b", "c", "x"];
    let texts = ["1", "2.5", "warm", "", "-4", "1e2"];
    let mut rows = Vec::new();
    for subset in 0..16_usize {
        for shift in 0..3 {
            let some = names.iter().enumerate().filter(|(at, _)| subset >> at & 1 == 1);
            let cells: Vec<Cell> = some.map(|(at, name)| (*name, texts[(subset + at + shift) % texts.len()])).collect();
            rows.push(row((subset * 3 + shift).try_into().unwrap(), &cells));
        }
    }
    rows
}

#[test]
fn names_answer_in_order_of_rank_wherever_their_cells_stand() {
    let rows = rows_of_names();
    let orders: [&[&str]; 6] =
        [&["a"], &["a", "b"], &["b", "a"], &["a", "b", "c"], &["c", "a", "b"], &["x", "c", "b", "a"]];
    for stored in [
        [FieldType::Double, FieldType::Double],
        [FieldType::String, FieldType::Long],
        [FieldType::Long, FieldType::Double],
    ] {
        for shape in shapes(stored) {
            for order in orders {
                for asked in [None, Some(FieldType::String), Some(FieldType::Double), Some(FieldType::Long)] {
                    check(&column(asked, order.iter().map(|name| source(name)).collect()), &rows, &shape);
                }
            }
        }
    }
}

#[test]
fn a_deleted_name_does_not_answer_in_files_that_are_covered() {
    let rows = rows_of_names();
    let last = rows.iter().map(|row| row.position).max().unwrap();
    let through = |position: u64| Some([(ShardId::new("s0").unwrap(), Position::from(position))].into_iter().collect());
    let deleted = Source { unreadable_through: through(last), ..source("a") };
    for shape in shapes([FieldType::Double, FieldType::Double]) {
        check(&column(Some(FieldType::Double), vec![deleted.clone(), source("b")]), &rows, &shape);
        check(&column(None, vec![deleted.clone()]), &rows, &shape);
    }
}

#[test]
fn cells_of_the_rest_keep_every_character() {
    let texts = ["\"", "\\", "a\"b", "\u{1}", "名\u{1F600}", "", "{\"a\":\"b\"}", "\\\"a\\\""];
    for name in ["a", "a\"b", "温度", "a\\b", "\u{7f}"] {
        let name: &'static str = Box::leak(name.to_owned().into_boxed_str());
        let rows: Vec<Row> = (0..)
            .zip(texts)
            .map(|(number, text)| row(number, &[(name, text), ("a", "x")][..if name == "a" { 1 } else { 2 }]))
            .collect();
        check(&column(None, vec![source(name)]), &rows, &Shape::of(&[]));
    }
}

#[test]
fn a_layout_that_does_not_say_which_name_a_cell_had_is_damaged() {
    let rows = rows_of_names();
    let mut layout = layout(&Shape::of(&[("c", FieldType::Double, &["a", "b"])]), &rows);
    layout.columns[0].name = None;
    let positions = Cover::default();
    let bounds = Bounds { first: Timestamp::default(), last: Timestamp::default(), positions: &positions };
    let error = made(&column(None, vec![source("a")]), &layout, bounds).unwrap_err();
    assert_eq!(error.kind(), fineo_core::ErrorKind::Corrupt);
    assert!(made(&column(None, vec![source("a"), source("b")]), &layout, bounds).is_ok());
}

fn cell() -> impl Strategy<Value = Cell> {
    (proptest::sample::select(&["a", "b", "c", "x"][..]), proptest::sample::select(&TEXTS[..]))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn rows_of_any_kind_are_answered_as_nearline(
        cells in proptest::collection::vec(proptest::collection::vec(cell(), 0..4), 1..30),
        stored in proptest::collection::vec(proptest::sample::select(&TYPES[..]), 2),
        asked in proptest::option::of(proptest::sample::select(&TYPES[..])),
        shape in 0_usize..10,
        order in Just(["a", "b", "c"]).prop_shuffle(),
        names in 1_usize..4,
    ) {
        let rows: Vec<Row> = (0..).zip(cells).map(|(number, cells)| {
            let mut kept: Vec<Cell> = Vec::new();
            for cell in cells {
                if kept.iter().all(|(name, _)| *name != cell.0) {
                    kept.push(cell);
                }
            }
            row(number, &kept)
        }).collect();
        let shape = shapes([stored[0], stored[1]]).swap_remove(shape);
        check(&column(asked, order[..names].iter().map(|name| source(name)).collect()), &rows, &shape);
    }
}

#[test]
fn times_and_ids_are_read_as_they_are() {
    let rows = rows_of_names();
    let layout = layout(&Shape::of(&[]), &rows);
    let batch = store(&layout, &rows);
    let own = |content| Column { name: "x".into(), content };
    let asked = [own(Content::Timestamp), own(Content::EventId), own(Content::Alias), own(Content::IngestedAt)];
    let positions = Cover::default();
    let bounds = Bounds { first: Timestamp::default(), last: Timestamp::default(), positions: &positions };
    let mut plans = Plans::new(&Schema::new(asked.iter().map(Column::field).collect::<Vec<_>>()));
    let plan = FilePlan::of(&asked, &layout, bounds).unwrap();
    let schema = plans.add(plan, batch.schema().as_ref());
    let adapter = plans.create(Arc::clone(plans.schema()), schema).unwrap();
    let read = |index: usize| {
        let asked = Arc::new(ColumnExpr::new(plans.schema().field(index).name(), index));
        adapter.rewrite(asked).unwrap().evaluate(&batch).unwrap().into_array(rows.len()).unwrap()
    };
    let times = TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.at)).with_timezone("UTC");
    assert_eq!(&read(0), &(Arc::new(times) as ArrayRef));
    let id = |row: &Row| Some(format!("{:032x}", row.position));
    let ids: StringViewArray = rows.iter().map(id).collect();
    assert_eq!(&read(1), &(Arc::new(ids) as ArrayRef));
    let aliases: StringViewArray = rows.iter().map(|row| Some(row.alias)).collect();
    assert_eq!(&read(2), &(Arc::new(aliases) as ArrayRef));
}
