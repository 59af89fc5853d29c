//! Where the rows of an answer come from, and how a question gets there.

use std::collections::VecDeque;

use arrow::{
    array::RecordBatch,
    datatypes::{DataType, SchemaRef},
};
use bytes::BytesMut;
use fineo::{Parameter, QueryStream, Session};

use super::{
    catalog::{self, Asked, Catalog},
    dialect,
    failure::Failure,
    lists::Lists,
    rows::Rows,
    types,
    values::Given,
};
use crate::paging;

/// What answers the questions of one session.
#[derive(Debug, Clone)]
pub(super) struct Answerer {
    session: Session,
    catalog: Catalog,
}

/// What a statement takes and gives.
#[derive(Debug, Clone)]
pub(super) struct Described {
    pub(super) parameters: Vec<Option<DataType>>,
    pub(super) schema: SchemaRef,
}

impl Answerer {
    pub(super) fn new(session: Session, catalog: Catalog) -> Self {
        Self { session, catalog }
    }

    /// Begins to answer `sql`.
    pub(super) async fn query(
        &self,
        sql: &str,
        given: Vec<Option<DataType>>,
        values: Vec<Given>,
    ) -> Result<Source, Failure> {
        if catalog::may_be_asked(sql)
            && let Asked::Catalog(answer) =
                self.catalog.ask(sql, paging::types(sql, &given), Some(values.clone())).await?
        {
            return Ok(Source::of(answer.schema, answer.batches));
        }
        let adapted = dialect::adapted(sql);
        let (spelled, values) = Lists::of(&adapted).spelled(&adapted, values)?;
        let value = |value| match value {
            Given::One(value) => Ok(value),
            Given::Many(_) => Err(no_list()),
        };
        let values: Vec<Parameter> = values.into_iter().map(value).collect::<Result<_, _>>()?;
        let stream = self.session.query(&spelled, &values).await.map_err(|error| Failure::of(&error, sql))?;
        Ok(Source {
            schema: stream.schema().clone(),
            feed: Feed::Stream(Box::new(stream)),
            rows: None,
            sql: sql.to_owned(),
            bytes: 0,
        })
    }

    /// What `sql` would take and give.
    pub(super) async fn describe(&self, sql: &str, given_types: &[Option<DataType>]) -> Result<Described, Failure> {
        let given_types = paging::types(sql, given_types);
        if catalog::may_be_asked(sql)
            && let Asked::Catalog(answer) = self.catalog.ask(sql, given_types.clone(), None).await?
        {
            return Ok(Described { parameters: answer.parameters, schema: answer.schema });
        }
        let adapted = dialect::adapted(sql);
        let lists = Lists::of(&adapted);
        let listed = lists.parameters();
        let given = |(index, given): (usize, &Option<DataType>)| match given {
            Some(DataType::List(item)) if listed.contains(&index) => Ok(Some(item.data_type().clone())),
            Some(DataType::List(_)) => Err(no_list()),
            given => Ok(given.clone()),
        };
        let given: Vec<_> = given_types.iter().enumerate().map(given).collect::<Result<_, _>>()?;
        let described = self.session.describe(&lists.as_items(&adapted), &given).await;
        let mut described = described.map_err(|error| Failure::of(&error, sql))?;
        for index in listed {
            if let Some(parameter) = described.parameters.get_mut(index) {
                *parameter = parameter.take().map(types::list);
            }
        }
        Ok(Described { parameters: described.parameters, schema: described.schema })
    }
}

fn no_list() -> Failure {
    Failure::error("0A000", "a list can be a parameter only where it is compared with")
        .with_hint("write x = ANY($1), or x IN ($1, $2, …)")
}

/// The rows of an answer, as far as they were not sent yet.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) schema: SchemaRef,
    feed: Feed,
    rows: Option<Rows>,
    sql: String,
    /// How many bytes its rows take, where all of them are there already.
    pub(super) bytes: usize,
}

#[derive(Debug)]
enum Feed {
    Stream(Box<QueryStream>),
    Batches(VecDeque<RecordBatch>),
}

impl Source {
    /// Rows that are there already.
    pub(super) fn of(schema: SchemaRef, batches: Vec<RecordBatch>) -> Self {
        let bytes = batches.iter().map(RecordBatch::get_array_memory_size).sum();
        Self { schema, feed: Feed::Batches(batches.into()), rows: None, sql: String::new(), bytes }
    }

    /// Goes on where the client stopped; not with rows that were read before what its role may read was taken back.
    pub(super) fn resume(&self) -> Result<(), Failure> {
        match &self.feed {
            Feed::Stream(stream) => stream.check_granted().map_err(|error| Failure::of(&error, &self.sql)),
            Feed::Batches(_) => Ok(()),
        }
    }

    /// Writes the next row of the batch at hand; false when another batch is needed.
    pub(super) fn write(&mut self, out: &mut BytesMut) -> Result<bool, Failure> {
        match &mut self.rows {
            Some(rows) => rows.write(out),
            None => Ok(false),
        }
    }

    /// Gets the next batch, its columns in these formats; false when there is none.
    pub(super) async fn advance(&mut self, format: impl Fn(usize) -> i16) -> Result<bool, Failure> {
        let next = match &mut self.feed {
            Feed::Stream(stream) => stream.next_batch().await.map_err(|error| Failure::of(&error, &self.sql))?,
            Feed::Batches(batches) => batches.pop_front(),
        };
        self.rows = next.map(|batch| Rows::new(&batch, format)).transpose()?;
        Ok(self.rows.is_some())
    }
}
