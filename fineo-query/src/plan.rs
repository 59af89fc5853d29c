//! From one statement to a plan that can run.

mod alike;
pub(crate) mod alternatives;
mod as_it_is;
mod at_once;
pub(crate) mod beside;
pub(crate) mod bins;
mod constants;
mod context;
mod copies;
mod correlated;
mod emptied;
mod equals;
pub(crate) mod formats;
pub(crate) mod functions;
mod groupings;
pub(crate) mod growth;
pub(crate) mod guarded;
mod in_turn;
mod joined;
mod kept;
mod latest;
mod lengths;
mod literals;
mod lossy;
mod nullable;
mod nulls;
mod open;
pub(crate) mod parts;
mod passing;
mod planners;
mod series;
pub(crate) mod sized;
mod sliding;
mod sort_keys;
mod stoppable;
mod subqueries;
mod turned;
mod unnested;
mod weight;
pub(crate) mod whole;
pub(crate) mod work;

use std::sync::Arc;

use datafusion::{
    arrow::{
        datatypes::{DataType, Schema, SchemaRef},
        temporal_conversions::timestamp_us_to_datetime,
    },
    common::{
        ParamValues, ScalarValue,
        metadata::ScalarAndMetadata,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    error::DataFusionError,
    execution::context::SQLOptions,
    logical_expr::{Expr, LogicalPlan, Volatility},
    physical_plan::ExecutionPlan,
    sql::{
        planner::{ParserOptions, SqlToRel},
        sqlparser::ast::{DescribeAlias, Statement},
    },
};
use fineo_core::{Error, Result, Timestamp};
use tokio::runtime::Handle;

use crate::{
    Description, Parameter, QueryLimits,
    catalog::{Catalog, Sources},
    engine::Inner,
    error::{classify, exceeded, is_of_equal_names, missing_column, refused},
    reader::Granted,
    sql::{
        apart::{tell_apart, tell_groups_apart},
        asked::Asked,
        lift::{self, Lifted},
        placeholders,
        rewrite::{ResultNames, rewrite},
        text,
    },
};

use context::Context;

pub(crate) use at_once::AsksAtOnce;
pub(crate) use constants::ForgetsConstants;
pub(crate) use copies::CountsCopies;
pub(crate) use correlated::NamesKeys;
pub(crate) use emptied::FiltersRows;
pub(crate) use equals::{ComparesEquals, ListsZeros};
pub(crate) use in_turn::TestsInTurn;
pub(crate) use joined::JoinPlanner;
pub(crate) use kept::{Kept, KeptPlans, Known, Repeated};
pub(crate) use latest::NewestFirst;
pub(crate) use lengths::GroupsLengths;
pub(crate) use literals::LiteralPlanner;
pub(crate) use lossy::{KeepsCasts, KeepsTests, Opaque};
pub(crate) use nullable::ComparesTruth;
pub(crate) use nulls::KeepsNulls;
pub(crate) use open::{OpenScan, Values, stand_in};
pub(crate) use planners::{Planners, panicked};
pub(crate) use sort_keys::KnowsRanges;
pub(crate) use stoppable::{AggregatesLook, StopsWhenUnwanted};
pub(crate) use subqueries::TestsSubqueries;
pub(crate) use turned::TurnsConstants;
pub(crate) use whole::{ChecksRanges, CountPlanner};

/// The most parameters of a statement: as many as wire protocols can count.
const PARAMETERS_MAX: usize = u16::MAX as usize;

/// What a plan is made of.
pub(crate) struct Question {
    pub(crate) text: String,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) sources: Sources,
    pub(crate) engine: Arc<Inner>,
    pub(crate) now: Timestamp,
    /// Where the states of tables are read while a plan is made.
    pub(crate) runtime: Handle,
}

/// A plan, and what its columns are to be called.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) plan: Arc<dyn ExecutionPlan>,
    pub(crate) schema: SchemaRef,
    /// What its reader was granted, where that is not everything.
    pub(crate) granted: Option<Granted>,
}

/// The plan that answers `question`; one for statements like it is kept where that is possible.
pub(crate) fn plan(question: &Question) -> Result<Planned> {
    if let Some(planned) = planned_to_keep(question) {
        return Ok(planned);
    }
    let values: Vec<ScalarValue> = question.parameters.iter().map(Parameter::scalar).collect();
    let given: Vec<_> = values.iter().map(|value| Some(value.data_type())).collect();
    Unbound::of(question, &given)?.bind(values, question)
}

/// Makes a plan that can be kept, and answers `question` with it.
fn planned_to_keep(question: &Question) -> Option<Planned> {
    let Question { text, parameters, sources, engine, .. } = question;
    let (reader, version) = (&sources.reader, sources.schema.version());
    let lifted = lifted(text, &engine.limits)?;
    if let Some(Known::NoPlan(of)) = engine.kept.known(reader, &lifted.shape)
        && of == version
    {
        return None;
    }
    let kept = match kept(&lifted, question) {
        Ok(Some(kept)) => Arc::new(kept),
        Ok(None) => {
            engine.kept.keep(reader, lifted.shape, Known::NoPlan(version));
            return None;
        }
        Err(error) => {
            if planners::is_lasting(&error) {
                engine.kept.keep(reader, lifted.shape, Known::NoPlan(version));
            }
            return None;
        }
    };
    engine.kept.repeat(reader, text, &kept, &lifted);
    engine.kept.keep(reader, lifted.shape, Known::Plan(Arc::clone(&kept)));
    let values = Values { parameters, texts: &lifted.texts };
    question.runtime.block_on(kept.planned(sources, values, &engine.states))
}

/// The plan for statements of the shape of `lifted`, where it can be kept.
fn kept(lifted: &Lifted, question: &Question) -> Result<Option<Kept>> {
    let Question { sources, engine, .. } = question;
    let asked = Asked::of(&lifted.shape);
    let catalog = Catalog::opened(sources, &asked)?;
    let tasks = engine.states.fitting(&catalog).config().target_partitions();
    let Unbound { plan, names, catalog } = Unbound::over(lifted.shape.clone(), &asked, catalog, question)?;
    let plan = literals::read_literals(plan).map_err(|error| classify(&error))?;
    if is_of_now(&plan).map_err(|error| classify(&error))? {
        return Ok(None);
    }
    let planned = physical(&plan, &names, &catalog, question)?;
    Ok(Kept::new(planned, asked, catalog, sources, tasks))
}

/// `text` without the texts that it compares with, where it is so small that it is worth keeping.
pub(crate) fn lifted(text: &str, limits: &QueryLimits) -> Option<Lifted> {
    lift::can_lift(text).then(|| text::parse_shallow(text, limits)).flatten().map(lift::lift)
}

/// What `question` takes and gives. A parameter is of the type `given`, else of the one that its place asks for.
pub(crate) fn describe(question: &Question, given: &[Option<DataType>]) -> Result<Description> {
    let unbound = Unbound::of(question, given)?;
    let inferred = unbound.plan.get_parameter_types().map_err(|error| classify(&error))?;
    let count = inferred.keys().filter_map(|name| name.strip_prefix('$')?.parse().ok()).max().unwrap_or(0);
    if count > PARAMETERS_MAX {
        return Err(
            exceeded("too_complex", "the statement has too many parameters").with("parameters_max", PARAMETERS_MAX)
        );
    }
    let type_of = |index: usize| {
        let given = given.get(index).cloned().flatten();
        given.or_else(|| inferred.get(&format!("${}", index + 1)).cloned().flatten())
    };
    let parameters: Vec<Option<DataType>> = (0..count).map(type_of).collect();
    // Its place decides what a value without a type is; where it does not, it is text.
    let of_type = |known: &Option<DataType>| ScalarValue::try_new_null(known.as_ref().unwrap_or(&DataType::Utf8View));
    let values = parameters.iter().map(of_type).collect::<std::result::Result<_, _>>();
    let planned = unbound.bind(values.map_err(|error| classify(&error))?, question)?;
    Ok(Description { parameters, schema: planned.schema })
}

/// A plan whose parameters have no values yet.
struct Unbound {
    plan: LogicalPlan,
    names: ResultNames,
    catalog: Catalog,
}

impl Unbound {
    /// The plan for a question whose parameters are of the types `given`, where those are known.
    fn of(question: &Question, given: &[Option<DataType>]) -> Result<Self> {
        let limits = &question.engine.limits;
        let mut statement = ours(text::parse(&question.text, limits)?, limits)?;
        placeholders::cast(&mut statement, given);
        let asked = Asked::of(&statement);
        let catalog = Catalog::of(&question.sources, &asked)?;
        Self::over(statement, &asked, catalog, question)
    }

    /// The plan for `statement` over the tables of `catalog`.
    fn over(mut statement: Statement, asked: &Asked, catalog: Catalog, question: &Question) -> Result<Self> {
        let names = ResultNames::of(&statement);
        rewrite(&mut statement, asked, &catalog)?;
        tell_groups_apart(&mut statement);
        let plan = match logical(statement.clone(), question, &catalog) {
            Err(error) if is_of_equal_names(&error) && tell_apart(&mut statement) => {
                logical(statement, question, &catalog)
            }
            other => other,
        };
        let plan = plan.and_then(unnested::in_place).and_then(groupings::named).and_then(alike::told_apart);
        let plan = plan.map_err(|error| meant_as_text(&error, name_missing(&error, &catalog), asked))?;
        Ok(Self { plan, names, catalog })
    }

    /// The plan that can run, once its parameters have `values`.
    fn bind(self, values: Vec<ScalarValue>, question: &Question) -> Result<Planned> {
        let Self { plan, names, catalog } = self;
        let bound = if values.is_empty() {
            Ok(plan)
        } else {
            plan.with_param_values(ParamValues::List(values.into_iter().map(ScalarAndMetadata::from).collect()))
        };
        let logical = bound.and_then(literals::read_literals).map_err(|error| name_missing(&error, &catalog))?;
        physical(&logical, &names, &catalog, question)
    }
}

/// The plan that can run.
fn physical(logical: &LogicalPlan, names: &ResultNames, catalog: &Catalog, question: &Question) -> Result<Planned> {
    sized::check_centroids(logical).and_then(|()| weight::check(logical)).map_err(|error| classify(&error))?;
    let state = question.engine.states.fitting(catalog);
    let is_of_now = is_of_now(logical).map_err(|error| classify(&error))?;
    let physical = async {
        if !is_of_now {
            return state.create_physical_plan(logical).await;
        }
        let mut state = state.clone();
        let started = timestamp_us_to_datetime(question.now.micros());
        state.execution_props_mut().query_execution_start_time = started.map(|instant| instant.and_utc());
        state.create_physical_plan(logical).await
    };
    // This is a thread of its own: the caller's runtime goes on with its work, ours included.
    let plan = question.runtime.block_on(physical).map_err(|error| classify(&error))?;
    let schema = renamed(&plan.schema(), names);
    Ok(Planned { plan, schema, granted: question.sources.granted.clone() })
}

/// Whether `plan` is another one at another time.
fn is_of_now(plan: &LogicalPlan) -> datafusion::error::Result<bool> {
    let mut is_of_now = false;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                let is_fixed = match expr {
                    Expr::ScalarFunction(call) => call.func.signature().volatility == Volatility::Immutable,
                    _ => true,
                };
                is_of_now |= !is_fixed;
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(is_of_now)
}

/// `schema` with the names that were asked for, however names are spelled within the plan.
fn renamed(schema: &SchemaRef, names: &ResultNames) -> SchemaRef {
    let count = schema.fields().len();
    let fields = schema.fields().iter().enumerate().map(|(index, field)| match names.name(index, count) {
        Some(name) if name != field.name() && name.to_lowercase() == field.name().to_lowercase() => {
            Arc::new(field.as_ref().clone().with_name(name))
        }
        Some(_) | None => Arc::clone(field),
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// SHOW and DESCRIBE in terms of what the catalog has.
fn ours(statement: Statement, limits: &QueryLimits) -> Result<Statement> {
    const SHOW_TABLES: &str =
        "SELECT table_schema, table_name, table_type FROM information_schema.tables ORDER BY 1, 2";
    match statement {
        Statement::ShowTables { .. } => text::parse(SHOW_TABLES, limits),
        Statement::ShowColumns { show_options, .. } => {
            let table = show_options.show_in.and_then(|show_in| show_in.parent_name);
            let table_name = table.ok_or_else(|| refused("sql_syntax", "SHOW COLUMNS needs FROM and a table"))?;
            let describe_alias = DescribeAlias::Describe;
            Ok(Statement::ExplainTable { describe_alias, hive_format: None, has_table_keyword: false, table_name })
        }
        other => Ok(other),
    }
}

fn logical(
    statement: Statement,
    question: &Question,
    catalog: &Catalog,
) -> std::result::Result<LogicalPlan, DataFusionError> {
    let context = Context { state: question.engine.states.fitting(catalog), catalog, now: question.now };
    let options = ParserOptions { enable_ident_normalization: false, collect_spans: true, ..ParserOptions::default() };
    let plan = SqlToRel::new_with_options(&context, options).sql_statement_to_plan(statement)?;
    SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false).verify_plan(&plan)?;
    Ok(plan)
}

/// Says which names a column that was not found is like.
fn name_missing(error: &DataFusionError, catalog: &Catalog) -> Error {
    let classified = classify(error);
    let Some(column) = missing_column(error) else { return classified };
    if let Some(table) = column.relation.as_ref().filter(|_| catalog.exposes(&column.name)) {
        let hint = format!(
            "{table} is not in reach there: a subquery refers to the tables of the query that it stands in, behind \
             LATERAL to those before it, and to none further outside"
        );
        return classified.with("hint", hint);
    }
    let near = catalog.near(&column.name);
    if near.is_empty() {
        return classified;
    }
    classified.with("hint", format!("did you mean {}?", near.join(", ")))
}

/// `missing`, which says what to write where a text stands in the quotes of a name.
fn meant_as_text(error: &DataFusionError, missing: Error, asked: &Asked) -> Error {
    let quoted = missing_column(error).filter(|column| {
        column.relation.is_none()
            && asked.columns.contains(&(column.name.clone(), true))
            && !missing.context().iter().any(|(name, _)| *name == "hint")
    });
    match quoted {
        Some(column) => missing.with("hint", format!("a text stands in single quotes: '{}'", column.name)),
        None => missing,
    }
}
