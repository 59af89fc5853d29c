//! What S3 answers to a call that `object_store` has no method for.

use std::collections::BTreeMap;

use fineo_core::Result;
use object_store::client::HttpResponse;

use crate::failure;

/// An answer of S3.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: u16,
    /// The headers, by names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    /// The body.
    pub(crate) text: String,
}

impl Answer {
    pub(crate) async fn read(response: HttpResponse) -> Result<Self> {
        let status = response.status().as_u16();
        let headers = response.headers().iter();
        let headers = headers.filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())));
        let headers = headers.collect();
        let body =
            response.into_body().bytes().await.map_err(|source| {
                failure::s3(object_store::Error::Generic { store: "S3", source: Box::new(source) })
            })?;
        Ok(Self { status, headers, text: String::from_utf8_lossy(&body).into_owned() })
    }

    /// The header called `name`.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The code of an error.
    pub(crate) fn code(&self) -> &str {
        self.between("<Code>", "</Code>").unwrap_or("none")
    }

    /// What S3 says of an error.
    pub(crate) fn message(&self) -> &str {
        self.between("<Message>", "</Message>").unwrap_or("nothing")
    }

    fn between(&self, begin: &str, end: &str) -> Option<&str> {
        self.text.split(begin).nth(1)?.split(end).next()
    }
}
