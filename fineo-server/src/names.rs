//! Column names that do not repeat, for forms in which a name may stand only once.

use std::{collections::HashSet, sync::Arc};

use arrow::datatypes::{Field, Schema, SchemaRef};

/// The names of the columns of `schema`; a repeated one gets `_2`, `_3`, … behind it.
pub fn distinct_names(schema: &Schema) -> Vec<String> {
    let mut taken: HashSet<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
    let mut used = HashSet::new();
    let mut names = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let mut name = field.name().clone();
        let mut number = 2;
        while used.contains(&name) {
            let candidate = format!("{}_{number}", field.name());
            if taken.insert(candidate.clone()) {
                name = candidate;
            }
            number += 1;
        }
        used.insert(name.clone());
        names.push(name);
    }
    names
}

/// `schema` with names that do not repeat.
pub(crate) fn distinct(schema: &SchemaRef) -> SchemaRef {
    let names = distinct_names(schema);
    if schema.fields().iter().zip(&names).all(|(field, name)| field.name() == name) {
        return Arc::clone(schema);
    }
    let fields = schema.fields().iter().zip(names).map(|(field, name)| Field::clone(field).with_name(name));
    Arc::new(Schema::new_with_metadata(fields.collect::<Vec<_>>(), schema.metadata().clone()))
}
