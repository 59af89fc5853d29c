//! The lists of cases.

mod archive;
mod nearline;
mod repo;
mod stream;

use crate::{Case, model};

/// The cases of [`fineo_core::Stream`].
pub fn stream() -> Vec<Case> {
    [stream::append::CASES, stream::read::CASES, stream::durable::CASES, model::stream::CASES].concat()
}

/// The cases of [`fineo_core::Archive`].
pub fn archive() -> Vec<Case> {
    [archive::write::CASES, archive::read::CASES, archive::remove::CASES, archive::cold::CASES, model::archive::CASES]
        .concat()
}

/// The cases of [`fineo_core::NearlineStore`].
pub fn nearline() -> Vec<Case> {
    [
        nearline::write::CASES,
        nearline::cells::CASES,
        nearline::scan::CASES,
        nearline::latest::CASES,
        model::nearline::CASES,
    ]
    .concat()
}

/// The cases of [`fineo_core::SchemaRepo`].
pub fn repo() -> Vec<Case> {
    [repo::compare::CASES, repo::read::CASES, model::repo::CASES].concat()
}

/// Every case.
pub fn all() -> Vec<Case> {
    [stream(), archive(), nearline(), repo()].concat()
}
