//! What frames that slide answer, beside the same frames summed up anew.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{ArrayRef, Float64Array},
        datatypes::{DataType, Field, Schema},
    },
    common::ScalarValue,
    execution::SessionStateDefaults,
    logical_expr::{Accumulator, AggregateUDF, function::AccumulatorArgs},
    physical_expr::{PhysicalExpr, expressions::col},
};

use super::accumulator;

/// The engine's function of that name, over one column or two.
struct Aggregate {
    function: Arc<AggregateUDF>,
    schema: Schema,
    exprs: Vec<Arc<dyn PhysicalExpr>>,
}

impl Aggregate {
    fn new(name: &str, data_type: DataType) -> Self {
        let functions = SessionStateDefaults::default_aggregate_functions();
        let function = functions.into_iter().find(|function| function.name() == name).unwrap();
        let columns = if ["corr", "covar", "regr_"].iter().any(|of_two| name.starts_with(of_two)) { 2 } else { 1 };
        let field = |column: &&str| Field::new(*column, data_type.clone(), true);
        let schema = Schema::new(["x", "y"][..columns].iter().map(field).collect::<Vec<_>>());
        let exprs = schema.fields().iter().map(|field| col(field.name(), &schema).unwrap()).collect();
        Self { function, schema, exprs }
    }

    fn with_args<T>(&self, is_distinct: bool, answer: impl FnOnce(AccumulatorArgs<'_>) -> T) -> T {
        let fields: Vec<_> = self.schema.fields().iter().cloned().collect();
        answer(AccumulatorArgs {
            return_field: Arc::new(Field::new("answer", DataType::Float64, true)),
            schema: &self.schema,
            ignore_nulls: false,
            order_bys: &[],
            is_reversed: false,
            name: self.function.name(),
            is_distinct,
            exprs: &self.exprs,
            expr_fields: &fields,
        })
    }

    fn slides(&self) -> Option<Box<dyn Accumulator>> {
        self.with_args(false, |args| accumulator(self.function.name(), &args))
    }

    /// What the engine answers for these rows alone.
    fn anew(&self, rows: &[ArrayRef]) -> Option<f64> {
        let mut anew = self.with_args(false, |args| self.function.accumulator(args)).unwrap();
        anew.update_batch(rows).unwrap();
        number(anew.evaluate().unwrap())
    }
}

fn number(value: ScalarValue) -> Option<f64> {
    match value {
        ScalarValue::Float64(number) => number,
        other => panic!("{other} is no double"),
    }
}

fn batch(rows: &[[Option<f64>; 2]], columns: usize) -> Vec<ArrayRef> {
    (0..columns).map(|column| Arc::new(rows.iter().map(|row| row[column]).collect::<Float64Array>()) as _).collect()
}

/// What the aggregate answers as the last `width` rows slide over `numbers`.
fn sliding(name: &str, numbers: &[f64], width: usize) -> Vec<Option<f64>> {
    let mut slides = Aggregate::new(name, DataType::Float64).slides().unwrap();
    let rows: Vec<_> = numbers.iter().map(|number| [Some(*number); 2]).collect();
    let answers = (0..rows.len()).map(|row| {
        slides.update_batch(&batch(&rows[row..=row], 1)).unwrap();
        if row >= width {
            slides.retract_batch(&batch(&rows[row - width..=row - width], 1)).unwrap();
        }
        number(slides.evaluate().unwrap())
    });
    answers.collect()
}

#[test]
fn what_left_a_frame_is_forgotten() {
    let inf = f64::INFINITY;
    assert_eq!(sliding("sum", &[inf, 1.0, 1.0, 1.0], 2), [Some(inf), Some(inf), Some(2.0), Some(2.0)]);
    assert_eq!(sliding("avg", &[f64::NAN, 1.0, 3.0, 5.0], 2)[2..], [Some(2.0), Some(4.0)]);
    assert_eq!(sliding("sum", &[1e20, 1.0, 1.0], 2)[2], Some(2.0));
    assert_eq!(sliding("stddev", &[0.1, 0.3, 0.7, 0.7], 2)[3], Some(0.0));
    assert_eq!(sliding("stddev", &[f64::NAN, 1.0, 1.0], 2)[2], Some(0.0));
    assert_eq!(sliding("var_pop", &[inf, -inf, 3.0, 5.0], 2)[3], Some(1.0));
}

#[test]
fn equal_numbers_spread_by_nothing() {
    for width in 1..20 {
        let numbers: Vec<f64> = (0..30).map(|row| if row < 5 { f64::from(row) / 7.0 } else { 0.1 }).collect();
        for answer in &sliding("stddev_pop", &numbers, width)[5 + width..] {
            assert_eq!(*answer, Some(0.0), "{width}");
        }
    }
}

#[test]
fn a_frame_that_slides_answers_as_the_same_rows_alone() {
    // The last column that is null or not comes round every 77 rows.
    let row = |row: u32| {
        let [x, y] = [row * 37 % 101, row * 59 % 103].map(f64::from);
        [(row % 7 != 3).then_some(x - 50.0), (row % 11 != 5).then_some(y / 8.0)]
    };
    let rows: Vec<_> = (0..300).map(row).collect();
    for name in [
        "sum",
        "avg",
        "var",
        "var_pop",
        "stddev",
        "stddev_pop",
        "covar_pop",
        "covar_samp",
        "corr",
        "regr_slope",
        "regr_intercept",
        "regr_r2",
        "regr_avgx",
        "regr_avgy",
        "regr_sxx",
        "regr_syy",
        "regr_sxy",
    ] {
        let aggregate = Aggregate::new(name, DataType::Float64);
        let columns = aggregate.exprs.len();
        let mut slides = aggregate.slides().unwrap();
        let (mut start, mut end) = (0, 0);
        // Frames widen and narrow, by several rows at once, down to none.
        for step in 0..150 {
            let next = (end + step % 5).min(rows.len());
            slides.update_batch(&batch(&rows[end..next], columns)).unwrap();
            end = next;
            let next = (start + [1, 0, 4, 2, 3, if step % 50 == 0 { 300 } else { 0 }][step % 6]).min(end);
            slides.retract_batch(&batch(&rows[start..next], columns)).unwrap();
            start = next;
            let (slid, anew) = (number(slides.evaluate().unwrap()), aggregate.anew(&batch(&rows[start..end], columns)));
            if start == end {
                assert_eq!(slid, None, "{name} of no rows");
                continue;
            }
            let is_near = match (slid, anew) {
                (Some(slid), Some(anew)) => (slid - anew).abs() <= 1e-9 * anew.abs().max(1.0),
                (slid, anew) => slid == anew,
            };
            assert!(is_near, "{name} of {start}..{end}: {slid:?}, not {anew:?}");
        }
    }
}

#[test]
fn what_subtracts_nothing_wrong_is_the_engines() {
    assert!(Aggregate::new("min", DataType::Float64).slides().is_none());
    assert!(Aggregate::new("regr_count", DataType::Float64).slides().is_none());
    assert!(Aggregate::new("sum", DataType::Int64).slides().is_none());
    let sum = Aggregate::new("sum", DataType::Float64);
    assert!(sum.with_args(true, |args| accumulator("sum", &args)).is_none(), "of those that differ");
}

#[test]
fn the_rows_of_a_frame_are_counted() {
    let mut slides = Aggregate::new("sum", DataType::Float64).slides().unwrap();
    let before = slides.size();
    slides.update_batch(&batch(&[[Some(1.0); 2]; 1000], 1)).unwrap();
    assert!(slides.size() >= before + 1000 * 16, "{}", slides.size());
}
