//! Clients of the services, from the SDK's own chain of configuration and credentials.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_dynamodb::config::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_http_client::{
    Builder as HttpBuilder,
    tls::{Provider, rustls_provider::CryptoMode},
};
use fineo_core::{Error, Result};
use object_store::{CredentialProvider, aws::AwsCredential};

use crate::{
    AwsOptions,
    failure::{LOG_IN, Said, chain},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);
const OPERATION_TIMEOUT: Duration = Duration::from_secs(90);
/// How often the SDK itself tries what is safe to repeat.
const ATTEMPTS_MAX: u32 = 5;

/// A client of each service.
#[derive(Debug, Clone)]
pub(crate) struct Clients {
    pub(crate) sdk: SdkConfig,
    pub(crate) region: String,
    pub(crate) dynamodb: aws_sdk_dynamodb::Client,
    /// Never repeats: of several tries the SDK tells the last failure, and an earlier one may have been carried out.
    pub(crate) dynamodb_once: aws_sdk_dynamodb::Client,
    /// Whether something else than AWS's own endpoint stands for DynamoDB.
    pub(crate) is_emulated: bool,
    pub(crate) firehose: aws_sdk_firehose::Client,
    /// Repeats what failed: for reads.
    pub(crate) kinesis: aws_sdk_kinesis::Client,
    /// Never repeats: an append that is repeated inside the SDK could be applied twice and say so once.
    pub(crate) kinesis_once: aws_sdk_kinesis::Client,
}

/// Reads the configuration and makes the clients; nothing is asked of AWS yet.
pub(crate) async fn connect(options: &AwsOptions) -> Result<Clients> {
    let http = HttpBuilder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT)
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS_MAX));
    if let Some(region) = &options.region {
        loader = loader.region(Region::new(region.clone()));
    }
    let sdk = loader.load().await;
    let region = sdk.region().map(ToString::to_string).ok_or_else(|| {
        Error::invalid("no region is chosen").with("hint", "set AWS_REGION or the region of the profile")
    })?;
    let mut dynamodb = aws_sdk_dynamodb::config::Builder::from(&sdk);
    if let Some(url) = &options.endpoints.dynamodb {
        dynamodb = dynamodb.endpoint_url(url);
    }
    let mut firehose = aws_sdk_firehose::config::Builder::from(&sdk);
    if let Some(url) = &options.endpoints.firehose {
        firehose = firehose.endpoint_url(url);
    }
    let mut kinesis = aws_sdk_kinesis::config::Builder::from(&sdk);
    if let Some(url) = &options.endpoints.kinesis {
        kinesis = kinesis.endpoint_url(url);
    }
    let is_emulated = options.endpoints.dynamodb.is_some() || configured_endpoint(&sdk, "DYNAMODB").is_some();
    let dynamodb_once = dynamodb.clone().retry_config(RetryConfig::disabled());
    let kinesis_once = kinesis.clone().retry_config(RetryConfig::disabled());
    Ok(Clients {
        region,
        is_emulated,
        dynamodb: aws_sdk_dynamodb::Client::from_conf(dynamodb.build()),
        dynamodb_once: aws_sdk_dynamodb::Client::from_conf(dynamodb_once.build()),
        firehose: aws_sdk_firehose::Client::from_conf(firehose.build()),
        kinesis: aws_sdk_kinesis::Client::from_conf(kinesis.build()),
        kinesis_once: aws_sdk_kinesis::Client::from_conf(kinesis_once.build()),
        sdk,
    })
}

/// The endpoint of `service` that the environment or the profile names.
pub(crate) fn configured_endpoint(sdk: &SdkConfig, service: &str) -> Option<String> {
    let said = std::env::var(format!("AWS_ENDPOINT_URL_{service}")).ok().filter(|url| !url.is_empty());
    said.or_else(|| sdk.endpoint_url().map(str::to_owned))
}

/// The SDK's credentials in the form that `object_store` asks for.
pub(crate) struct Credentials(SharedCredentialsProvider);

impl Credentials {
    pub(crate) fn new(sdk: &SdkConfig) -> Result<Self> {
        let provider = sdk.credentials_provider();
        provider.map(Self).ok_or_else(|| Error::invalid("no credentials are configured"))
    }

    /// The credentials as they are now.
    pub(crate) async fn now(&self) -> Result<AwsCredential> {
        let found = self.0.provide_credentials().await.map_err(|source| {
            Error::unavailable("no credentials were found").with_source(Said(chain(&source))).with("hint", LOG_IN)
        })?;
        Ok(AwsCredential {
            key_id: found.access_key_id().to_owned(),
            secret_key: found.secret_access_key().to_owned(),
            token: found.session_token().map(str::to_owned),
        })
    }
}

#[async_trait]
impl CredentialProvider for Credentials {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let found = self.now().await;
        found.map(Arc::new).map_err(|source| object_store::Error::Generic { store: "S3", source: Box::new(source) })
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}
