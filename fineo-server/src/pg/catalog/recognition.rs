//! Which statements are about the catalog.

use std::{borrow::Cow, ops::ControlFlow, sync::OnceLock};

use datafusion::sql::sqlparser::{
    ast::{Expr, ObjectName, Query, Statement, TableFactor, Visit, VisitMut, Visitor},
    parser::Parser,
};
use datafusion_pg_catalog::sql::PostgresCompatibilityParser;
use fineo::query::check_table_brackets;

use super::{
    super::{failure::Failure, statements::words},
    dialect::Postgres,
    names::{Names, Words},
    nothing::Nothing,
    spellings::{Lists, Spellings},
};

/// Functions and words that make a statement without a table a question about the server.
const FUNCTIONS: [&str; 25] = [
    "version",
    "current_database",
    "current_catalog",
    "current_schema",
    "current_schemas",
    "current_user",
    "current_role",
    "session_user",
    "user",
    "set_config",
    "current_setting",
    "has_table_privilege",
    "has_schema_privilege",
    "has_database_privilege",
    "has_any_column_privilege",
    "has_column_privilege",
    "format_type",
    "obj_description",
    "col_description",
    "to_regtype",
    "shobj_description",
    "quote_ident",
    "inet_server_addr",
    "inet_server_port",
    "txid_current",
];

/// Whether `sql` may be about the catalog: it is looked at more closely then.
pub(in super::super) fn may_be_asked(sql: &str) -> bool {
    words(sql).any(|word| {
        let word = word.trim_matches('"').to_ascii_lowercase();
        word.starts_with("pg_")
            || word == "information_schema"
            || word.starts_with("reg")
            || FUNCTIONS.contains(&word.as_str())
    })
}

/// The statement that `sql` is, in words that the planner knows, if it is about the catalog; and which of its parameters
/// are lists, from 0.
pub(super) fn parse(sql: &str) -> Result<Option<(Statement, Vec<usize>)>, Failure> {
    static PARSER: OnceLock<PostgresCompatibilityParser> = OnceLock::new();
    // What cannot be read here is the engine's to explain.
    if check_table_brackets(sql).is_err() {
        return Ok(None);
    }
    let Ok(mut asked) = Parser::parse_sql(&Postgres::for_words(words(sql).count()), sql) else { return Ok(None) };
    let [asked @ Statement::Query(_)] = asked.as_mut_slice() else { return Ok(None) };
    let mut relations = Relations::default();
    let _ = Visit::visit(&*asked, &mut relations);
    let is_asked = if relations.names.is_empty() { relations.has_function } else { relations.has_catalog };
    if !is_asked {
        return Ok(None);
    }
    let mut lists = Lists::default();
    if let ControlFlow::Break(failure) = VisitMut::visit(asked, &mut lists) {
        return Err(failure);
    }
    let mut words = Words::default();
    let _ = VisitMut::visit(asked, &mut words);
    let sql = if lists.has_any || words.has_any { Cow::Owned(asked.to_string()) } else { Cow::Borrowed(sql) };
    let parsed = PARSER.get_or_init(PostgresCompatibilityParser::new).parse(&sql);
    let Ok(mut statements) = parsed else { return Ok(None) };
    let Some(mut statement) = statements.pop().filter(|_| statements.is_empty()) else { return Ok(None) };
    let _ = VisitMut::visit(&mut statement, &mut Names);
    let _ = VisitMut::visit(&mut statement, &mut Nothing::default());
    let _ = VisitMut::visit(&mut statement, &mut Spellings);
    Ok(Some((statement, lists.parameters)))
}

/// What a statement reads from.
#[derive(Default)]
struct Relations {
    names: Vec<String>,
    given: Vec<String>,
    has_catalog: bool,
    has_function: bool,
}

impl Visitor for Relations {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let tables = query.with.iter().flat_map(|with| &with.cte_tables);
        self.given.extend(tables.map(|table| table.alias.name.value.to_lowercase()));
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Table { name, args: None, .. } => {
                let parts = parts(name);
                let [.., last] = parts.as_slice() else { return ControlFlow::Continue(()) };
                if parts.len() == 1 && self.given.contains(last) {
                    return ControlFlow::Continue(());
                }
                let schema = parts.len().checked_sub(2).and_then(|index| parts.get(index)).map(String::as_str);
                self.has_catalog |= match schema {
                    Some(schema) => schema == "pg_catalog" || schema == "information_schema",
                    None => last.starts_with("pg_"),
                };
                self.names.push(last.clone());
            }
            TableFactor::Table { name, .. } => {
                let named = parts(name);
                self.has_function |= named.iter().any(|part| part.starts_with("pg_"));
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        let name = match expr {
            Expr::Function(function) => parts(&function.name).pop(),
            Expr::Identifier(ident) => Some(ident.value.to_lowercase()),
            _ => None,
        };
        let is_ours = |name: &String| name.starts_with("pg_") || FUNCTIONS.contains(&name.as_str());
        self.has_function |= name.as_ref().is_some_and(is_ours);
        ControlFlow::Continue(())
    }
}

pub(super) fn parts(name: &ObjectName) -> Vec<String> {
    name.0.iter().filter_map(|part| part.as_ident()).map(|ident| ident.value.to_lowercase()).collect()
}
