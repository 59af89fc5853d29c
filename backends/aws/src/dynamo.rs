//! What both DynamoDB stores need: items, pages of queries, batches of writes.

mod transaction;

use std::{collections::HashMap, sync::Arc};

use aws_sdk_dynamodb::{
    Client,
    error::BuildError,
    primitives::Blob,
    types::{AttributeValue, DeleteRequest, PutRequest, WriteRequest},
};
use fineo_core::{Clock, Entropy, Error, ErrorKind, Result};

pub(crate) use transaction::Refused;

use crate::{failure, retry::Backoff};

/// The most items of one transaction.
pub(crate) const TRANSACTION_ITEMS_MAX: usize = 100;
/// The most items of one batch.
const BATCH_ITEMS_MAX: usize = 25;
/// The most bytes of one batch, below the 16 MB that AWS takes.
const BATCH_BYTES_MAX: usize = 12 << 20;
/// How often what was left unprocessed is sent again without progress.
const TRIES_MAX: u32 = 12;

/// One item, by names of attributes.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// A table and how it is asked.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) client: Client,
    /// Repeats nothing by itself: for transactions.
    pub(crate) once: Client,
    pub(crate) name: String,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
}

impl Table {
    /// Waits between tries of one call.
    pub(crate) fn backoff(&self) -> Backoff {
        Backoff::new(&self.clock, &self.entropy, TRIES_MAX)
    }

    /// A name that nothing else bears.
    pub(crate) fn nonce(&self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.entropy.id()))
    }

    /// Puts `items`, in batches, until none is left.
    pub(crate) async fn put_all(&self, items: Vec<Item>) -> Result<()> {
        let mut requests = Vec::with_capacity(items.len());
        for item in items {
            let bytes = item_bytes(&item);
            let put = PutRequest::builder().set_item(Some(item)).build().map_err(built)?;
            requests.push((WriteRequest::builder().put_request(put).build(), bytes));
        }
        self.write_all(requests).await
    }

    /// Deletes the items with `keys`, in batches, until none is left.
    pub(crate) async fn delete_all(&self, keys: Vec<Item>) -> Result<()> {
        let mut requests = Vec::with_capacity(keys.len());
        for key in keys {
            let bytes = item_bytes(&key);
            let delete = DeleteRequest::builder().set_key(Some(key)).build().map_err(built)?;
            requests.push((WriteRequest::builder().delete_request(delete).build(), bytes));
        }
        self.write_all(requests).await
    }

    async fn write_all(&self, requests: Vec<(WriteRequest, usize)>) -> Result<()> {
        let mut requests = requests.into_iter().peekable();
        while requests.peek().is_some() {
            let mut batch = Vec::new();
            let mut bytes = 0;
            while let Some((request, size)) = requests.next_if(|(_, size)| {
                batch.len() < BATCH_ITEMS_MAX && (batch.is_empty() || bytes + size <= BATCH_BYTES_MAX)
            }) {
                bytes += size;
                batch.push(request);
            }
            self.write_batch(batch).await?;
        }
        Ok(())
    }

    /// Sends a batch, and again what AWS left of it (N1).
    async fn write_batch(&self, mut batch: Vec<WriteRequest>) -> Result<()> {
        let mut backoff = self.backoff();
        loop {
            let sent = batch.len();
            let call = self.client.batch_write_item().request_items(&self.name, batch);
            let mut answer = call.send().await.map_err(failure::dynamodb)?;
            let left = answer.unprocessed_items.as_mut().and_then(|tables| tables.remove(&self.name));
            batch = left.unwrap_or_default();
            if batch.is_empty() {
                return Ok(());
            }
            if batch.len() < sent {
                backoff.restart();
            }
            if !backoff.wait().await {
                let error = Error::new(ErrorKind::Throttled, "DynamoDB left items of a batch unprocessed");
                return Err(error.with("table", &self.name).with("items", batch.len()).and_may_have_applied());
            }
        }
    }
}

/// What a query of one partition asks for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query {
    pub(crate) condition: String,
    pub(crate) filter: Option<String>,
    pub(crate) projection: Option<String>,
    pub(crate) names: HashMap<String, String>,
    pub(crate) values: HashMap<String, AttributeValue>,
    pub(crate) limit: Option<i32>,
}

/// A page of a query, and where the next begins.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) items: Vec<Item>,
    pub(crate) next: Option<Item>,
}

impl Table {
    /// One page of `query`, read strongly. It may be empty although there are more.
    pub(crate) async fn page(&self, query: &Query, from: Option<Item>) -> Result<Page> {
        let values = query.values.clone();
        let call = self
            .client
            .query()
            .table_name(&self.name)
            .consistent_read(true)
            .key_condition_expression(&query.condition)
            .set_filter_expression(query.filter.clone())
            .set_projection_expression(query.projection.clone())
            .set_expression_attribute_names(Some(query.names.clone()).filter(|names| !names.is_empty()))
            .set_expression_attribute_values(Some(values).filter(|values| !values.is_empty()))
            .set_limit(query.limit)
            .set_exclusive_start_key(from);
        let answer = call.send().await.map_err(|error| failure::dynamodb(error).with("table", &self.name))?;
        Ok(Page { items: answer.items.unwrap_or_default(), next: answer.last_evaluated_key })
    }

    /// Every item of `query`, at most `count_max` of them.
    pub(crate) async fn all(&self, query: &Query, count_max: usize) -> Result<Vec<Item>> {
        let mut items = Vec::new();
        let mut next = None;
        while items.len() < count_max {
            let page = self.page(query, next).await?;
            items.extend(page.items);
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        items.truncate(count_max);
        Ok(items)
    }

    /// The item with `key`, read strongly.
    pub(crate) async fn item(&self, key: Item) -> Result<Option<Item>> {
        let call = self.client.get_item().table_name(&self.name).set_key(Some(key)).consistent_read(true);
        let answer = call.send().await.map_err(|error| failure::dynamodb(error).with("table", &self.name))?;
        Ok(answer.item)
    }
}

/// About how many bytes AWS counts for an item.
pub(crate) fn item_bytes(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + value_bytes(value)).sum()
}

fn value_bytes(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(digits) => digits.len() / 2 + 2,
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        _ => 8,
    }
}

pub(crate) fn text(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

pub(crate) fn number(number: impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

pub(crate) fn binary(bytes: impl Into<Vec<u8>>) -> AttributeValue {
    AttributeValue::B(Blob::new(bytes))
}

/// An attribute that must be a text.
pub(crate) fn text_of<'a>(item: &'a Item, name: &str) -> Result<&'a str> {
    let found = item.get(name).and_then(|value| value.as_s().ok());
    found.map(String::as_str).ok_or_else(|| damaged(name))
}

/// An attribute that must be a number.
pub(crate) fn number_of<T: std::str::FromStr>(item: &Item, name: &str) -> Result<T> {
    let found = item.get(name).and_then(|value| value.as_n().ok());
    found.and_then(|digits| digits.parse().ok()).ok_or_else(|| damaged(name))
}

/// An attribute that must be bytes.
pub(crate) fn binary_of<'a>(item: &'a Item, name: &str) -> Result<&'a [u8]> {
    let found = item.get(name).and_then(|value| value.as_b().ok());
    found.map(AsRef::as_ref).ok_or_else(|| damaged(name))
}

/// An attribute that must be so many bytes.
pub(crate) fn bytes_of<const LEN: usize>(item: &Item, name: &str) -> Result<[u8; LEN]> {
    binary_of(item, name)?.try_into().map_err(|_| damaged(name))
}

pub(crate) fn damaged(name: &str) -> Error {
    Error::corrupt("an item is not as it was written").with("attribute", name)
}

/// A request that lacks a part: a defect of ours.
pub(crate) fn built(error: BuildError) -> Error {
    Error::internal("a request to DynamoDB lacks a part").with_source(error)
}
