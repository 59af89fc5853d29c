//! A page of rows, put together from the answers to as many queries as the projection is split over.

use std::collections::HashMap;

use fineo_core::Result;

use super::{
    super::key,
    query::{FROM, IDENTITY, Queries, TO},
};
use crate::dynamo::{Item, Page, Query, Table, text, text_of};

/// The page that begins at `from`. It may be empty although there are more.
pub(super) async fn page(table: &Table, queries: &Queries, partition: &str, from: Option<Item>) -> Result<Page> {
    let mut page = table.page(&queries.first, from).await?;
    for query in &queries.others {
        page.items = joined(table, partition, page.items, query).await?;
    }
    Ok(page)
}

/// The rows of `items`, with the attributes that `query` answers too.
async fn joined(table: &Table, partition: &str, items: Vec<Item>, query: &Query) -> Result<Vec<Item>> {
    let (Some(first), Some(last)) = (items.first(), items.last()) else { return Ok(items) };
    let mut query = query.clone();
    for (bound, item) in [(FROM, first), (TO, last)] {
        query.values.insert(bound.to_owned(), text(text_of(item, key::SORT)?));
    }
    let mut others = HashMap::new();
    for other in table.all(&query, usize::MAX).await? {
        others.insert(text_of(&other, key::SORT)?.to_owned(), other);
    }
    let mut joined = Vec::with_capacity(items.len());
    for mut item in items {
        let name = text_of(&item, key::SORT)?.to_owned();
        match others.remove(&name) {
            Some(other) if IDENTITY.iter().all(|attribute| item.get(*attribute) == other.get(*attribute)) => {
                item.extend(other);
                joined.push(item);
            }
            // Removed or written anew in between: one answer has all of it, or it is gone.
            Some(_) | None => joined.extend(table.item(key::item(partition, name)).await?),
        }
    }
    Ok(joined)
}
