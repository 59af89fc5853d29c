//! Prepared statements and portals.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use pgwire::api::Type;
use tokio::sync::OnceCell;

use super::{
    command::Command,
    failure::Failure,
    request::Bind,
    source::{Answerer, Described, Source},
    statements::{split, words},
    types,
    values::{self, Given},
};

/// A prepared statement.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) sql: String,
    /// None for a text without a statement.
    pub(super) command: Option<Command>,
    /// What the client calls its parameters, 0 where it leaves that to the server.
    types: Vec<u32>,
    parameters: usize,
    described: OnceCell<Described>,
}

impl Prepared {
    /// Reads `sql` as one statement.
    pub(super) fn new(sql: String, types: Vec<u32>) -> Result<Self, Failure> {
        let pieces = split(&sql);
        if pieces.len() > 1 {
            return Err(Failure::error("42601", "cannot insert multiple commands into a prepared statement"));
        }
        let command = pieces.first().map(|piece| Command::of(piece.sql));
        if let Some(Command::Declare { is_held: true, .. }) = &command {
            return Err(Failure::error("0A000", "a cursor cannot be declared WITH HOLD")
                .with_hint("leave out WITH HOLD, and fetch all rows before the transaction ends"));
        }
        let number = |word: &str| word.strip_prefix('$')?.parse::<usize>().ok();
        let parameters = words(&sql).filter_map(number).max().unwrap_or(0);
        if parameters > usize::from(u16::MAX) {
            return Err(Failure::error("54001", "the statement has too many parameters"));
        }
        Ok(Self { command, types, parameters, described: OnceCell::new(), sql })
    }

    /// The statement's text that asks something, where it does.
    pub(super) fn question(&self) -> Option<&str> {
        match &self.command {
            Some(Command::Query) => Some(&self.sql),
            Some(Command::Declare { query, .. }) => Some(query),
            _ => None,
        }
    }

    /// How many bytes of what the client sent it keeps.
    pub(super) fn bytes(&self) -> usize {
        self.sql.len() + size_of_val(&*self.types)
    }

    /// The types that the client gave its parameters.
    pub(super) fn given(&self) -> Vec<Option<DataType>> {
        self.types.iter().map(|oid| types::of_oid(*oid)).collect()
    }

    /// What the statement takes and gives. It is found once.
    pub(super) async fn described(&self, answerer: &Answerer) -> Result<&Described, Failure> {
        let Some(sql) = self.question() else {
            let nothing = async { Ok(Described { parameters: Vec::new(), schema: Arc::new(Schema::empty()) }) };
            return self.described.get_or_try_init(|| nothing).await;
        };
        let given = self.given();
        self.described.get_or_try_init(|| answerer.describe(sql, &given)).await
    }

    /// The columns that the statement was said to give, if that was said.
    pub(super) fn promised(&self) -> Option<&SchemaRef> {
        self.described.get().map(|described| &described.schema)
    }

    /// The Postgres types of its parameters.
    pub(super) async fn parameter_types(&self, answerer: &Answerer) -> Result<Vec<Type>, Failure> {
        let given =
            |index: usize| self.types.get(index).copied().filter(|oid| *oid != 0 && *oid != Type::UNKNOWN.oid());
        let count = self.parameters.max(self.types.len());
        let needs_description = (0..count).any(|index| given(index).is_none());
        let described = if needs_description { Some(self.described(answerer).await?) } else { None };
        let of = |index: usize| match given(index) {
            Some(oid) => Type::from_oid(oid)
                .ok_or_else(|| Failure::error("42704", format!("type with OID {oid} does not exist"))),
            None => {
                let known = described.and_then(|described| described.parameters.get(index)?.as_ref());
                Ok(types::of_parameter(known))
            }
        };
        (0..count).map(of).collect()
    }
}

/// A statement with values, ready to be executed or partly so.
#[derive(Debug)]
pub(super) struct Portal {
    pub(super) prepared: Arc<Prepared>,
    pub(super) values: Vec<Given>,
    pub(super) formats: Formats,
    pub(super) progress: Progress,
    /// How many bytes its statement, values and formats take.
    given_bytes: usize,
}

/// How far a portal is.
#[derive(Debug)]
pub(super) enum Progress {
    Ready,
    Open(Box<Source>),
    Done,
}

/// In which form each column is sent.
#[derive(Debug, Clone, Default)]
pub(super) struct Formats(Vec<i16>);

impl Formats {
    /// The format of column `index`.
    pub(super) fn of(&self, index: usize) -> i16 {
        match self.0.as_slice() {
            [] => 0,
            [all] => *all,
            each => each.get(index).copied().unwrap_or(0),
        }
    }

    /// That there is one for each of `count` columns, or one for all.
    pub(super) fn check(&self, count: usize) -> Result<(), Failure> {
        if self.0.len() <= 1 || self.0.len() == count {
            return Ok(());
        }
        Err(Failure::error(
            "08P01",
            format!("bind message has {} result formats but query has {count} columns", self.0.len()),
        ))
    }
}

impl Portal {
    /// Gives `prepared` the values of `bind`, whose types are `types`.
    pub(super) fn new(prepared: Arc<Prepared>, types: &[Type], bind: Bind) -> Result<Self, Failure> {
        if bind.values.len() != types.len() {
            let (given, wanted) = (bind.values.len(), types.len());
            let message = format!("bind message supplies {given} parameters, but the statement requires {wanted}");
            return Err(Failure::error("08P01", message));
        }
        let parameter_formats = Formats(bind.formats);
        let value = |(index, (of, bytes)): (usize, (&Type, &Option<bytes::Bytes>))| {
            values::parameter(index + 1, of, parameter_formats.of(index) == 1, bytes.as_ref())
        };
        let values = types.iter().zip(&bind.values).enumerate().map(value).collect::<Result<Vec<_>, _>>()?;
        let bytes = values.iter().map(Given::bytes).sum::<usize>() + size_of_val(&*bind.result_formats);
        let given_bytes = prepared.bytes() + bytes;
        Ok(Self { prepared, values, formats: Formats(bind.result_formats), progress: Progress::Ready, given_bytes })
    }

    /// `prepared` without any values.
    pub(super) fn plain(prepared: Arc<Prepared>) -> Self {
        let given_bytes = prepared.bytes();
        let formats = Formats::default();
        Self { prepared, values: Vec::new(), formats, progress: Progress::Ready, given_bytes }
    }

    /// A cursor over an answer that has begun.
    pub(super) fn cursor(prepared: Arc<Prepared>, source: Source) -> Self {
        Self { progress: Progress::Open(Box::new(source)), ..Self::plain(prepared) }
    }

    /// How many bytes it takes: what it was given, and the rows that wait to be sent, where all of them are there.
    pub(super) fn bytes(&self) -> usize {
        match &self.progress {
            Progress::Open(source) => self.given_bytes + source.bytes,
            Progress::Ready | Progress::Done => self.given_bytes,
        }
    }

    /// The columns of a statement that the door answers itself.
    pub(super) fn own_schema(command: &Command) -> Option<SchemaRef> {
        let text = |name: &str| Field::new(name, DataType::Utf8, true);
        match command {
            Command::Show(name) if name == "all" => {
                Some(Arc::new(Schema::new(vec![text("name"), text("setting"), text("description")])))
            }
            Command::Show(name) => Some(Arc::new(Schema::new(vec![text(name)]))),
            _ => None,
        }
    }
}
