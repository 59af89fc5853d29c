//! What is asked of DynamoDB: key conditions, a projection to the wanted names, a filter, each as far as AWS takes it.

use std::{collections::HashMap, sync::Arc};

use fineo_core::nearline::{Predicate, ScanRequest};

use super::{super::cells, bounds, key};
use crate::dynamo::{Query, text};

/// The longest expression; AWS takes 4 KB.
const EXPRESSION_BYTES_MAX: usize = 4_000;
/// The most operands of an IN.
const TEXTS_MAX: usize = 100;
/// The most operators of an expression; AWS takes 300.
const OPERATORS_MAX: usize = 250;
/// The most bytes of all names and values; AWS takes 2 MB.
const SUBSTITUTED_BYTES_MAX: usize = 1 << 20;

/// The query for the rows of one partition. It may answer more than the request wants, never less.
pub(in crate::nearline) fn of_rows(request: &ScanRequest, partition: String) -> Query {
    let (from, to) = bounds(request.time);
    let mut names = Names::default();
    let mut query = Query {
        condition: format!("{} = :pk AND {} BETWEEN :from AND :to", names.of(key::PARTITION), names.of(key::SORT)),
        ..Query::default()
    };
    query.values.insert(":pk".to_owned(), text(partition));
    query.values.insert(":from".to_owned(), text(from));
    // The name of a row has its id behind the time, so that a bare time stands before every row of that instant.
    query.values.insert(":to".to_owned(), text(to));
    let before_filter = names.clone();
    match filter(request, &mut names, &mut query) {
        Some(filter) => query.filter = Some(filter),
        None => names = before_filter,
    }
    let before_projection = names.clone();
    match projection(request, &mut names) {
        Some(projection) => query.projection = Some(projection),
        None => names = before_projection,
    }
    query.names = names.by_placeholder();
    query
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
        let placeholder = format!("#n{}", self.placeholders.len());
        self.bytes += attribute.len();
        self.placeholders.insert(attribute.to_owned(), placeholder.clone());
        placeholder
    }

    fn by_placeholder(self) -> HashMap<String, String> {
        self.placeholders.into_iter().map(|(attribute, placeholder)| (placeholder, attribute)).collect()
    }
}

/// The attributes that are wanted; none when that takes more than AWS does, and whole items are read.
fn projection(request: &ScanRequest, names: &mut Names) -> Option<String> {
    let system = request.system;
    let mut attributes = vec![key::SORT, cells::PARTS, cells::PARTS_COUNT];
    if system.alias {
        attributes.push(cells::ALIAS);
    }
    if system.ingested_at {
        attributes.push(cells::INGESTED_AT);
    }
    if system.position || !request.beyond.is_empty() {
        attributes.extend([cells::SHARD, cells::POSITION]);
    }
    if system.content {
        attributes.push(cells::CONTENT);
    }
    let mut terms: Vec<String> = attributes.into_iter().map(|attribute| names.of(attribute)).collect();
    let tested = request.predicates.iter().flat_map(|predicate| match predicate {
        Predicate::AnyText { names, .. } | Predicate::AnyPresent { names } => names,
    });
    for name in request.names.iter().chain(tested) {
        let term = names.of(&cells::attribute(name));
        if !terms.contains(&term) {
            terms.push(term);
        }
        if terms.len() > EXPRESSION_BYTES_MAX / 6 {
            return None;
        }
    }
    let projection = terms.join(", ");
    (projection.len() <= EXPRESSION_BYTES_MAX && names.bytes <= SUBSTITUTED_BYTES_MAX).then_some(projection)
}

/// The predicates that DynamoDB can test; rows with parts pass, since some of their cells are elsewhere.
fn filter(request: &ScanRequest, names: &mut Names, query: &mut Query) -> Option<String> {
    let mut terms = Vec::new();
    let (mut operators, mut bytes) = (0, 0);
    let mut values = HashMap::new();
    for predicate in &request.predicates {
        let (tested, texts): (&[Arc<str>], &[Arc<str>]) = match predicate {
            Predicate::AnyText { names, texts } => (names, texts),
            Predicate::AnyPresent { names } => (names, &[]),
        };
        let is_text = matches!(predicate, Predicate::AnyText { .. });
        if tested.is_empty() || (is_text && texts.is_empty()) || texts.len() > TEXTS_MAX {
            continue;
        }
        let mut wanted = Vec::new();
        for value in texts {
            let placeholder = format!(":v{}", values.len());
            bytes += value.len();
            values.insert(placeholder.clone(), text(value.as_ref()));
            wanted.push(placeholder);
        }
        let parts = names.of(cells::PARTS);
        let mut any = vec![format!("attribute_exists({parts})")];
        for name in tested {
            let name = names.of(&cells::attribute(name));
            any.push(match predicate {
                Predicate::AnyText { .. } => format!("{name} IN ({})", wanted.join(", ")),
                Predicate::AnyPresent { .. } => format!("attribute_exists({name})"),
            });
            operators += 2;
        }
        terms.push(format!("({})", any.join(" OR ")));
    }
    let filter = terms.join(" AND ");
    let fits = filter.len() <= EXPRESSION_BYTES_MAX
        && operators <= OPERATORS_MAX
        && bytes + names.bytes <= SUBSTITUTED_BYTES_MAX;
    if filter.is_empty() || !fits {
        return None;
    }
    query.values.extend(values);
    Some(filter)
}
