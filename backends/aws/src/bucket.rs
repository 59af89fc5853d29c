//! The bucket: its object store, and the few calls about the bucket itself.

mod answer;
mod create_only;
mod lifecycle;

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use fineo_core::{Entropy, Error, ErrorKind, Result};
use futures::future::join_all;
use object_store::{
    ClientOptions, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, PutResult, RetryConfig, UpdateVersion,
    aws::{AmazonS3, AmazonS3Builder, AwsAuthorizer, Checksum, S3ConditionalPut},
    client::{HttpClient, HttpConnector, HttpRequest, ReqwestConnector},
    path::Path,
    prefix::PrefixStore,
};

use crate::{
    AwsOptions, ColdAfter,
    connect::{Clients, Credentials, configured_endpoint},
    failure,
};
pub(crate) use answer::Answer;
use create_only::CreateOnly;
pub(crate) use lifecycle::with_cold;

/// Where the segments are.
const ARCHIVE: &str = "archive";
/// Where columnar tables are.
const TABLES: &str = "tables";
/// Where the store is tried out; what is left there ends after a day.
pub(crate) const UPLOADS: &str = "_uploads";

/// The header that says which small objects stay where they are, whatever the rules say.
const SMALLEST: &str = "x-amz-transition-default-minimum-object-size";

const RETRIES_MAX: usize = 5;
/// How many writers race for one object when the store is tried out.
const RACERS: usize = 4;
/// How often a store may fail to keep its word before it is refused.
const TRIES_MAX: usize = 3;
const RETRY_TIMEOUT: Duration = Duration::from_secs(60);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The part of a bucket that one instance keeps objects in: what begins with its prefix.
#[derive(Clone)]
pub struct Bucket {
    store: Arc<AmazonS3>,
    creating: Arc<AmazonS3>,
    control: HttpClient,
    credentials: Arc<Credentials>,
    entropy: Arc<dyn Entropy>,
    name: String,
    /// What the names of the instance's objects begin with.
    root: String,
    region: String,
    /// The URL of the bucket itself.
    url: String,
}

impl Bucket {
    pub(crate) fn new(clients: &Clients, options: &AwsOptions) -> Result<Self> {
        let credentials = Arc::new(Credentials::new(&clients.sdk)?);
        let endpoint = options.endpoints.s3.clone().or_else(|| configured_endpoint(&clients.sdk, "S3"));
        let client = ClientOptions::new()
            .with_timeout(REQUEST_TIMEOUT)
            .with_connect_timeout(CONNECT_TIMEOUT)
            .with_allow_http(endpoint.as_ref().is_some_and(|url| url.starts_with("http://")));
        let retry = RetryConfig { max_retries: RETRIES_MAX, retry_timeout: RETRY_TIMEOUT, ..RetryConfig::default() };
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&options.bucket)
            .with_region(&clients.region)
            .with_credentials(Arc::clone(&credentials) as _)
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_checksum_algorithm(Checksum::SHA256)
            .with_retry(retry)
            .with_client_options(client.clone());
        if let Some(endpoint) = &endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        let url = match &endpoint {
            Some(endpoint) => format!("{}/{}", endpoint.trim_end_matches('/'), options.bucket),
            None => format!("https://s3.{}.amazonaws.com/{}", clients.region, options.bucket),
        };
        let creating = builder.clone().with_http_connector(CreateOnly::default());
        Ok(Self {
            store: Arc::new(builder.build().map_err(failure::s3)?),
            creating: Arc::new(creating.build().map_err(failure::s3)?),
            control: ReqwestConnector::default().connect(&client).map_err(failure::s3)?,
            credentials,
            entropy: Arc::clone(&options.entropy),
            name: options.bucket.clone(),
            root: options.prefix.clone(),
            region: clients.region.clone(),
            url,
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether there are credentials to ask with.
    pub(crate) async fn check_credentials(&self) -> Result<()> {
        self.credentials.now().await.map(|_| ())
    }

    /// Every object of the bucket.
    pub fn store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.store) as _
    }

    /// Every object of the bucket; an upload in parts ends with an object only where there is none, and else is refused.
    pub(crate) fn creating(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.creating) as _
    }

    /// The folder of the instance's archive.
    pub(crate) fn archive(&self) -> String {
        format!("{}/{ARCHIVE}", self.root)
    }

    /// Everything of the instance.
    pub(crate) fn root(&self) -> Path {
        Path::from(self.root.as_str())
    }

    /// The store of columnar tables, and what an outside reader is told of where it is.
    pub fn tables(&self) -> (Arc<dyn ObjectStore>, String) {
        let root = format!("{}/{TABLES}", self.root);
        let url = format!("s3://{}/{root}/", self.name);
        (Arc::new(PrefixStore::new(Arc::clone(&self.store), root)), url)
    }

    /// What the instance keeps under `name`, beside its archive and its tables.
    pub fn folder(&self, name: &str) -> Arc<dyn ObjectStore> {
        Arc::new(PrefixStore::new(Arc::clone(&self.store), format!("{}/{name}", self.root)))
    }

    /// Makes the bucket when it is not there; AWS encrypts every object of a new one. Has its lifecycle move old segments as
    /// `cold` says.
    pub(crate) async fn create(&self, cold: Option<&ColdAfter>) -> Result<()> {
        let there = self.ask("HEAD", "", Bytes::new()).await?;
        match there.status {
            200 => {}
            404 => self.make().await?,
            _ => return Err(self.refused("the bucket cannot be used", &there)),
        }
        match cold {
            Some(cold) => self.cool(cold).await,
            None => Ok(()),
        }
    }

    async fn make(&self) -> Result<()> {
        let body = if self.region == "us-east-1" {
            String::new()
        } else {
            format!(
                "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
                 <LocationConstraint>{}</LocationConstraint></CreateBucketConfiguration>",
                self.region
            )
        };
        let made = self.ask("PUT", "", body.into()).await?;
        match (made.status, made.code()) {
            (200, _) | (409, "BucketAlreadyOwnedByYou") => {}
            _ => return Err(self.refused("the bucket cannot be created", &made)),
        }
        self.set_lifecycle(lifecycle::UPLOADS_END.to_owned(), None).await
    }

    /// Has old segments move to a cold class, beside whatever rules the bucket has.
    async fn cool(&self, cold: &ColdAfter) -> Result<()> {
        let there = self.ask("GET", "?lifecycle", Bytes::new()).await?;
        let rules = match (there.status, there.code()) {
            (200, _) => there.text.as_str(),
            (404, "NoSuchLifecycleConfiguration") => "",
            _ => return Err(self.refused("the bucket's lifecycle cannot be read", &there)),
        };
        match with_cold(rules, &self.root, &self.archive(), cold) {
            Some(rules) => self.set_lifecycle(rules, there.header(SMALLEST)).await,
            None => Ok(()),
        }
    }

    /// Sets all rules together, as S3 takes them, and leaves what it says of small objects as it was.
    async fn set_lifecycle(&self, rules: String, smallest: Option<&str>) -> Result<()> {
        let header = smallest.map(|smallest| (SMALLEST, smallest));
        let set = self.ask_with("PUT", "?lifecycle", header, rules.into()).await?;
        if set.status == 200 { Ok(()) } else { Err(self.refused("the bucket's lifecycle cannot be set", &set)) }
    }

    /// Whether the bucket can be reached; a message when not.
    pub(crate) async fn check(&self) -> Result<()> {
        let there = self.ask("HEAD", "", Bytes::new()).await?;
        if there.status == 200 { Ok(()) } else { Err(self.refused("the bucket cannot be used", &there)) }
    }

    /// The error of a call that was answered otherwise than hoped for.
    pub(crate) fn refused(&self, message: &str, answer: &Answer) -> Error {
        let status = answer.status;
        let kind = match status {
            404 => ErrorKind::NotFound,
            409 => ErrorKind::AlreadyExists,
            301 | 307 | 400 => ErrorKind::Invalid,
            _ => ErrorKind::Unavailable,
        };
        let error = Error::new(kind, message).with("bucket", &self.name).with("status", status);
        let error = error.with("code", answer.code());
        match status {
            301 | 307 | 400 => error.with("hint", "the bucket may be in another region"),
            403 => error.with("hint", "the name may be another account's, or the policy does not allow the call"),
            409 => error.with("hint", "the name is another account's: choose another bucket"),
            _ => error,
        }
    }

    /// Calls what `object_store` has no method for, of the bucket or of the object that `rest` of the URL names.
    pub(crate) async fn ask(&self, method: &str, rest: &str, body: Bytes) -> Result<Answer> {
        self.ask_with(method, rest, None, body).await
    }

    async fn ask_with(
        &self,
        method: &str,
        rest: &str,
        header: Option<(&'static str, &str)>,
        body: Bytes,
    ) -> Result<Answer> {
        let broken = |what: &'static str| move || Error::invalid(what).with("url", &self.url);
        let checksum = crc32c::crc32c(&body);
        let mut request = HttpRequest::new(body.into());
        *request.method_mut() = method.parse().map_err(|_| Error::internal("not a method"))?;
        let url = format!("{}{rest}", self.url);
        *request.uri_mut() = url.parse().map_err(|_| broken("not the URL of a bucket")())?;
        if method == "PUT" {
            let text = base64(checksum);
            let value = text.parse().map_err(|_| Error::internal("not a header"))?;
            request.headers_mut().insert("x-amz-checksum-crc32c", value);
        }
        if let Some((name, value)) = header {
            request.headers_mut().insert(name, value.parse().map_err(|_| Error::internal("not a header"))?);
        }
        let credential = self.credentials.now().await?;
        AwsAuthorizer::new(&credential, "s3", &self.region).authorize(&mut request, None);
        let answer =
            self.control.execute(request).await.map_err(|source| {
                failure::s3(object_store::Error::Generic { store: "S3", source: Box::new(source) })
            })?;
        Answer::read(answer).await
    }

    /// Tries whether the store keeps its word about conditions: some that speak S3's protocol ignore them, and then
    /// two writers could both believe that they were first.
    ///
    /// # Errors
    ///
    /// `Unsupported` when it does not, or a failure of the store.
    pub(crate) async fn try_out(&self) -> Result<()> {
        // Where an answer is lost and the call repeated, a store that keeps its word contradicts itself.
        for _ in 1..TRIES_MAX {
            if self.try_once().await.is_ok() {
                return Ok(());
            }
        }
        self.try_once().await
    }

    async fn try_once(&self) -> Result<()> {
        let id = u128::from_be_bytes(self.entropy.id());
        let path = Path::from(format!("{UPLOADS}/try-{id:032x}"));
        let put = |text: String, mode: PutMode| {
            let (store, path) = (&self.store, &path);
            async move { store.put_opts(path, PutPayload::from(text.into_bytes()), PutOptions::from(mode)).await }
        };
        let created = join_all((0..RACERS).map(|racer| put(format!("first {racer}"), PutMode::Create))).await;
        let there = self.store.head(&path).await.map_err(failure::s3)?;
        let version = UpdateVersion { e_tag: there.e_tag, version: there.version };
        let update = |racer| put(format!("second {racer}"), PutMode::Update(version.clone()));
        let updated = join_all((0..RACERS).map(update)).await;
        let stale = put("third".to_owned(), PutMode::Update(version.clone())).await;
        let in_parts = self.upload(&path, "fourth").await;
        let gone = self.store.delete(&path).await;
        let is_refusal = |result: &object_store::Result<PutResult>| {
            use object_store::Error::{AlreadyExists, Precondition};
            matches!(result, Err(AlreadyExists { .. } | Precondition { .. }))
        };
        let has_one_winner = |results: &[object_store::Result<PutResult>]| {
            results.iter().filter(|result| result.is_ok()).count() == 1
                && results.iter().filter(|result| is_refusal(result)).count() == RACERS - 1
        };
        let are_kept = has_one_winner(&created) && has_one_winner(&updated);
        if !are_kept || !is_refusal(&stale) || !is_refusal(&in_parts) {
            let error = Error::new(ErrorKind::Unsupported, "the object store does not keep the conditions of writes");
            return Err(error
                .with("bucket", &self.name)
                .with("hint", "choose a store that knows If-None-Match and If-Match, also when writers race"));
        }
        gone.map_err(failure::s3)
    }

    /// Uploads `text` in one part, to be an object where there is none.
    async fn upload(&self, path: &Path, text: &str) -> object_store::Result<PutResult> {
        let mut upload = self.creating.put_multipart(path).await?;
        upload.put_part(PutPayload::from(text.as_bytes().to_vec())).await?;
        let completed = upload.complete().await;
        if completed.is_err() {
            upload.abort().await?;
        }
        completed
    }
}

/// Four bytes as base 64.
fn base64(checksum: u32) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    // 32 bits and four more make six digits.
    let bits = u64::from(checksum) << 4;
    let digit = |index: u64| char::from(DIGITS[usize::try_from((bits >> (30 - 6 * index)) & 63).unwrap_or(0)]);
    let mut text: String = (0..6).map(digit).collect();
    text.push_str("==");
    text
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S3 bucket {}", self.name)
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucket").field("name", &self.name).field("url", &self.url).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    //! The checksum header.

    use super::base64;

    #[test]
    fn a_checksum_is_spelt_in_base_64() {
        for (checksum, text) in [(0, "AAAAAA=="), (u32::MAX, "/////w=="), (0xc995_7b7d, "yZV7fQ==")] {
            assert_eq!(base64(checksum), text);
        }
    }
}
