//! A question in SQL.

use std::time::Duration;

use fineo_core::{Error, FreshnessToken, Result};
use hyper::Method;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{Client, http::Call};

#[derive(Debug, Serialize)]
struct Asked {
    sql: String,
    params: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_position: Option<String>,
}

#[derive(Deserialize)]
struct Rows<T> {
    rows: Vec<T>,
}

/// A question in SQL.
#[derive(Debug)]
#[must_use = "it is asked by `rows`"]
pub struct Query<'a> {
    client: &'a Client,
    sql: String,
    parameters: Vec<Value>,
    min_position: Option<FreshnessToken>,
    time_max: Duration,
}

impl<'a> Query<'a> {
    pub(crate) fn new(client: &'a Client, sql: &str) -> Self {
        let time_max = client.options().time_max;
        Self { client, sql: sql.to_owned(), parameters: Vec::new(), min_position: None, time_max }
    }

    /// With the value of the next of `$1`, `$2`, …: null, a boolean, a number or a text.
    pub fn with_parameter(mut self, value: impl Into<Value>) -> Self {
        self.parameters.push(value.into());
        self
    }

    /// That waits until it sees what `token` stands for, such as that of [`Sent`](crate::Sent); said again, all that was.
    pub fn with_min_position(mut self, token: &FreshnessToken) -> Self {
        self.min_position.get_or_insert_default().merge(token);
        self
    }

    /// Changes how long it may take with all its tries, for one that takes longer than others.
    pub fn with_time_max(mut self, time_max: Duration) -> Self {
        self.time_max = time_max;
        self
    }

    /// The rows, each a `T` by the names of its columns.
    ///
    /// # Errors
    ///
    /// What the server says of the statement, with its [code](Error::code), its [hint](Error::hint) and, as `value("position")`,
    /// where in it; `Unavailable`, or `Throttled` when the server asks for patience, when tries and time were not enough;
    /// `LimitExceeded` when there are more rows than a client takes; `Internal` when a row is no `T`.
    pub async fn rows<T: DeserializeOwned>(self) -> Result<Vec<T>> {
        let min_position = self.min_position.map(|token| token.to_string());
        let asked = Asked { sql: self.sql, params: self.parameters, min_position };
        let body = serde_json::to_vec(&asked)
            .map_err(|source| Error::internal("the question cannot be written as JSON").with_source(source))?;
        let call = Call::new(Method::POST, "/v1/query", body);
        let rows: Rows<T> = self.client.tries(self.time_max).run(&call, |answer| answer.read()).await?;
        Ok(rows.rows)
    }
}
