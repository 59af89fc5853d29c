//! One question about the catalog, from its statement to its rows.

use std::sync::Arc;

use arrow::{array::RecordBatch, datatypes::DataType};
use datafusion::{
    common::{ParamValues, ScalarValue, metadata::ScalarAndMetadata},
    execution::{
        context::{SQLOptions, SessionContext},
        session_state::SessionState,
    },
    logical_expr::LogicalPlan,
    physical_plan::execute_stream,
    sql::{parser::Statement as AnyStatement, sqlparser::ast::Statement},
};
use fineo::{Parameter, query::beside};
use futures::StreamExt;
use tokio_util::sync::CancellationToken;

use super::{
    super::{
        failure::Failure,
        values::{self, Given},
    },
    Answer, failure,
    planner::runtime,
};

/// The most rows and bytes of an answer.
const ROWS_MAX: usize = 200_000;
const BYTES_MAX: usize = 64 << 20;

/// One statement about the catalog.
pub(super) struct Question {
    pub(super) state: SessionState,
    pub(super) statement: Statement,
    pub(super) given: Vec<Option<DataType>>,
    pub(super) values: Option<Vec<Given>>,
    pub(super) stop: CancellationToken,
}

impl Question {
    pub(super) async fn answer(self) -> Result<Answer, Failure> {
        beside::check_statement(&self.statement).map_err(|error| Failure::of(&error, ""))?;
        let runtime = runtime(&self.state);
        let planned = self.state.statement_to_plan(AnyStatement::Statement(Box::new(self.statement))).await;
        let plan = planned.map_err(|error| failure(&error))?;
        beside::check_plan(&plan).map_err(|error| Failure::of(&error, ""))?;
        let only_reads = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        only_reads.verify_plan(&plan).map_err(|_| Failure::error("42501", "a session only reads"))?;
        let parameters = parameters(&plan, &self.given)?;
        let values: Vec<ScalarValue> = match &self.values {
            Some(values) => {
                let given = |index: usize| self.given.get(index).and_then(Option::as_ref);
                let value = |(index, value)| scalar(value, given(index));
                values.iter().enumerate().map(value).collect::<Result<_, _>>()?
            }
            None => {
                let null =
                    |known: &Option<DataType>| ScalarValue::try_new_null(known.as_ref().unwrap_or(&DataType::Utf8));
                parameters.iter().map(null).collect::<Result<_, _>>().map_err(|error| failure(&error))?
            }
        };
        let plan = if values.is_empty() {
            plan
        } else {
            let values = values.into_iter().map(ScalarAndMetadata::from).collect();
            plan.with_param_values(ParamValues::List(values)).map_err(|error| failure(&error))?
        };
        let is_described_only = self.values.is_none();
        let frame = SessionContext::new_with_state(self.state).execute_logical_plan(plan).await;
        let frame = frame.map_err(|error| failure(&error))?;
        let context = Arc::new(frame.task_ctx().with_runtime(runtime));
        let physical = frame.create_physical_plan().await.map_err(|error| failure(&error))?;
        let schema = physical.schema();
        if is_described_only {
            return Ok(Answer { schema, parameters, batches: Vec::new() });
        }
        let mut stream = execute_stream(physical, context).map_err(|error| failure(&error))?;
        let mut batches: Vec<RecordBatch> = Vec::new();
        let (mut rows, mut bytes) = (0, 0);
        loop {
            let next = tokio::select! {
                () = self.stop.cancelled() => return Err(Failure::canceled()),
                next = stream.next() => next,
            };
            let Some(batch) = next else { break };
            let batch = batch.map_err(|error| failure(&error))?;
            rows += batch.num_rows();
            bytes += batch.get_array_memory_size();
            if rows > ROWS_MAX || bytes > BYTES_MAX {
                return Err(Failure::error("54000", "an answer from the catalog has too many rows"));
            }
            batches.push(batch);
        }
        Ok(Answer { schema, parameters, batches })
    }
}

/// The types of the parameters of `plan`: as given, else as their places ask for.
fn parameters(plan: &LogicalPlan, given: &[Option<DataType>]) -> Result<Vec<Option<DataType>>, Failure> {
    let inferred = plan.get_parameter_types().map_err(|error| failure(&error))?;
    let count: usize = inferred.keys().filter_map(|name| name.strip_prefix('$')?.parse().ok()).max().unwrap_or(0);
    if count > usize::from(u16::MAX) {
        return Err(Failure::error("54001", "the statement has too many parameters"));
    }
    let of = |index: usize| {
        let given = given.get(index).cloned().flatten();
        given.or_else(|| inferred.get(&format!("${}", index + 1)).cloned().flatten())
    };
    Ok((0..count).map(of).collect())
}

/// A value for the planner; a text is a list where a list is `given`.
fn scalar(value: &Given, given: Option<&DataType>) -> Result<ScalarValue, Failure> {
    let of_text = match (value, given) {
        (Given::One(Parameter::Text(text)), Some(DataType::List(_))) => Some(values::texts(text)?),
        _ => None,
    };
    let items = match (value, &of_text) {
        (_, Some(items)) | (Given::Many(items), None) => items,
        (Given::One(value), None) => return Ok(single(value)),
    };
    let item_type = match given {
        Some(DataType::List(item)) => item.data_type().clone(),
        _ => items.iter().map(|item| single(item).data_type()).find(|of| !of.is_null()).unwrap_or(DataType::Utf8),
    };
    let items = items.iter().map(|item| single(item).cast_to(&item_type)).collect::<Result<Vec<_>, _>>();
    let items = items.map_err(|error| failure(&error))?;
    Ok(ScalarValue::List(ScalarValue::new_list_nullable(&items, &item_type)))
}

fn single(value: &Parameter) -> ScalarValue {
    match value {
        Parameter::Boolean(value) => ScalarValue::Boolean(Some(*value)),
        Parameter::Long(number) => ScalarValue::Int64(Some(*number)),
        Parameter::Double(number) => ScalarValue::Float64(Some(*number)),
        Parameter::Text(text) => ScalarValue::Utf8(Some(text.to_string())),
        Parameter::Bytes(bytes) => ScalarValue::Binary(Some(bytes.to_vec())),
        Parameter::Timestamp(instant) => ScalarValue::TimestampMicrosecond(Some(instant.micros()), Some("UTC".into())),
        Parameter::Decimal { value, scale } => ScalarValue::Decimal128(Some(*value), 38, *scale),
        Parameter::Date(day) => ScalarValue::Date32(Some(*day)),
        Parameter::Time(micros) => ScalarValue::Time64Microsecond(Some(*micros)),
        _ => ScalarValue::Null,
    }
}
