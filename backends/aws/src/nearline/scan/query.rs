//! What is asked of DynamoDB: key conditions, projections to the wanted names, a filter, each as far as AWS takes it.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    sync::Arc,
};

use aws_sdk_dynamodb::types::AttributeValue;
use fineo_core::nearline::{Predicate, ScanRequest};

use super::{
    super::{cells, value},
    bounds, key,
};
use crate::dynamo::{Query, text};

/// The longest expression; AWS takes 4 KB. About a thousand names fit.
const EXPRESSION_BYTES_MAX: usize = 4_000;
/// The most operands of an IN.
const TEXTS_MAX: usize = 100;
/// The most operators of an expression; AWS takes 300.
const OPERATORS_MAX: usize = 250;
/// The most bytes of all names and values; AWS takes 2 MB.
const SUBSTITUTED_BYTES_MAX: usize = 1 << 20;
/// The most queries that a projection is split over. AWS charges each of them for whole items, whatever it answers.
const QUERIES_MAX: usize = 4;

/// The lower bound of the sort key.
pub(super) const FROM: &str = ":from";
/// The upper bound of the sort key.
pub(super) const TO: &str = ":to";

/// The queries for the rows of one partition.
#[derive(Debug)]
pub(in crate::nearline) struct Queries {
    /// Finds the rows. It may answer more than the request wants, never less.
    pub(in crate::nearline) first: Query,
    /// Each answers further attributes of the rows between two names.
    pub(in crate::nearline) others: Vec<Query>,
}

/// The queries for the rows of one partition.
pub(in crate::nearline) fn of_rows(request: &ScanRequest, partition: &str) -> Queries {
    let (from, to) = bounds(request.time);
    let ranged = |names: &mut Names| Query {
        condition: format!("{} = :pk AND {} BETWEEN {FROM} AND {TO}", names.of(key::PARTITION), names.of(key::SORT)),
        // The name of a row has its id behind the time, so that a bare time stands before every row of that instant.
        values: [(":pk", partition), (FROM, &from), (TO, &to)]
            .map(|(name, value)| (name.to_owned(), text(value)))
            .into(),
        ..Query::default()
    };
    let mut names = Names::default();
    let mut first = ranged(&mut names);
    let before_filter = names.clone();
    first.filter = filter(request, &mut names, &mut first.values);
    if first.filter.is_none() {
        names = before_filter;
    }
    let before_projection = names.clone();
    let wanted = wanted(request);
    let mut others = Vec::new();
    let mut left = wanted.as_slice();
    first.projection = Some(projection(&mut left, &mut names));
    while !left.is_empty() && others.len() + 1 < QUERIES_MAX {
        let mut names = Names::default();
        let mut query = ranged(&mut names);
        query.projection = Some(projection(&mut left, &mut names));
        query.names = names.by_placeholder();
        others.push(query);
    }
    if !left.is_empty() {
        // So many names are nearly all of an item: it is read as a whole.
        (first.projection, names) = (None, before_projection);
        others.clear();
    }
    first.names = names.by_placeholder();
    Queries { first, others }
}

/// Placeholders of attribute names. AWS refuses those that are not used, so each is made when it is.
#[derive(Debug, Clone, Default)]
struct Names {
    placeholders: HashMap<String, String>,
    bytes: usize,
}

impl Names {
    fn of(&mut self, attribute: &str) -> String {
        if let Some(known) = self.placeholders.get(attribute) {
            return known.clone();
        }
        let placeholder = placeholder(self.placeholders.len());
        self.bytes += attribute.len();
        self.placeholders.insert(attribute.to_owned(), placeholder.clone());
        placeholder
    }

    fn by_placeholder(self) -> HashMap<String, String> {
        self.placeholders.into_iter().map(|(attribute, placeholder)| (placeholder, attribute)).collect()
    }
}

/// A short one, so that many fit: two characters say more than a thousand.
fn placeholder(mut number: usize) -> String {
    let mut placeholder = String::from("#");
    loop {
        placeholder.extend(char::from_digit(u32::try_from(number % 36).unwrap_or(0), 36));
        number /= 36;
        if number == 0 {
            return placeholder;
        }
    }
}

/// The attributes that tell a row from one that was written anew under its key.
pub(super) const IDENTITY: [&str; 2] = [cells::SHARD, cells::POSITION];

/// The attributes that are wanted beside the identity of the rows, each once.
fn wanted(request: &ScanRequest) -> Vec<Cow<'_, str>> {
    let system = request.system;
    let asked =
        [(system.alias, cells::ALIAS), (system.ingested_at, cells::INGESTED_AT), (system.content, cells::CONTENT)];
    let ours = asked.into_iter().filter(|(is_wanted, _)| *is_wanted).map(|(_, attribute)| attribute);
    let tested = request.predicates.iter().flat_map(|predicate| match predicate {
        Predicate::AnyText { names, .. } | Predicate::AnyPresent { names } => names,
    });
    let ours = [cells::PARTS, cells::PARTS_COUNT].into_iter().chain(ours).map(Cow::Borrowed);
    let sent = request.names.iter().chain(tested).map(|name| cells::attribute(name));
    let mut seen = HashSet::new();
    ours.chain(sent).filter(|attribute| seen.insert(attribute.clone())).collect()
}

/// The keys and identity of rows, and as many attributes as fit, which are `left` no more.
fn projection(left: &mut &[Cow<'_, str>], names: &mut Names) -> String {
    let mut projection = names.of(key::SORT);
    for attribute in IDENTITY {
        projection.push(',');
        projection.push_str(&names.of(attribute));
    }
    while let Some((attribute, rest)) = left.split_first() {
        // The next placeholder has at most five characters.
        if projection.len() + 6 > EXPRESSION_BYTES_MAX || names.bytes + attribute.len() > SUBSTITUTED_BYTES_MAX {
            break;
        }
        projection.push(',');
        projection.push_str(&names.of(attribute));
        *left = rest;
    }
    projection
}

/// The predicates that DynamoDB can test; rows with parts pass, since some of their cells are elsewhere.
fn filter(request: &ScanRequest, names: &mut Names, values: &mut HashMap<String, AttributeValue>) -> Option<String> {
    let mut terms = Vec::new();
    let mut operators = 0;
    let mut operands = Operands::default();
    for predicate in &request.predicates {
        let tested: &[Arc<str>] = match predicate {
            Predicate::AnyText { names, texts } if texts.is_empty() || texts.len() > TEXTS_MAX => &[],
            Predicate::AnyText { names, .. } | Predicate::AnyPresent { names } => names,
        };
        if tested.is_empty() {
            continue;
        }
        let comparisons = match predicate {
            Predicate::AnyText { texts, .. } => operands.comparisons(texts),
            Predicate::AnyPresent { .. } => Vec::new(),
        };
        let mut any = vec![format!("attribute_exists({})", names.of(cells::PARTS))];
        for name in tested {
            let name = names.of(&cells::attribute(name));
            match predicate {
                Predicate::AnyText { .. } => any.extend(comparisons.iter().map(|with| format!("{name} {with}"))),
                Predicate::AnyPresent { .. } => any.push(format!("attribute_exists({name})")),
            }
        }
        operators += 2 * any.len();
        terms.push(format!("({})", any.join(" OR ")));
    }
    let filter = terms.join(" AND ");
    let fits = filter.len() <= EXPRESSION_BYTES_MAX
        && operators <= OPERATORS_MAX
        && operands.bytes + names.bytes <= SUBSTITUTED_BYTES_MAX;
    if filter.is_empty() || !fits {
        return None;
    }
    values.extend(operands.values);
    Some(filter)
}

/// The values that attributes are compared with.
#[derive(Debug, Default)]
struct Operands {
    values: HashMap<String, AttributeValue>,
    bytes: usize,
}

impl Operands {
    fn add(&mut self, value: AttributeValue) -> String {
        let placeholder = format!(":v{}", self.values.len());
        self.bytes += value::cell_of(&value).map_or(0, str::len);
        self.values.insert(placeholder.clone(), value);
        placeholder
    }

    /// What may stand behind a name to ask for one of `texts`: as texts, as which every one was stored at first, and as
    /// what they are stored as. Values of one type stand together, because not every service compares several.
    fn comparisons(&mut self, texts: &[Arc<str>]) -> Vec<String> {
        let (mut as_texts, mut numbers, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for wanted in texts {
            as_texts.push(self.add(text(wanted.as_ref())));
            match value::attribute_of(wanted) {
                AttributeValue::S(_) => {}
                number @ AttributeValue::N(_) => numbers.push(self.add(number)),
                other => others.push(self.add(other)),
            }
        }
        let lists = [as_texts, numbers].into_iter().filter(|list| !list.is_empty());
        let lists = lists.map(|list| format!("IN ({})", list.join(",")));
        lists.chain(others.into_iter().map(|other| format!("= {other}"))).collect()
    }
}
