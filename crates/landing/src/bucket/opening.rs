//! From a URL and credentials to a bucket.
//!
//! Called by `server` when it starts. The names of the settings are those of the stores' own tools,
//! such as `AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`, `GOOGLE_APPLICATION_CREDENTIALS`,
//! `AZURE_STORAGE_ACCOUNT_NAME`: they are taken from the environment, and from a file, which has
//! precedence.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::{ObjectStore, RetryConfig};

use crate::bucket::Bucket;
use crate::bucket::http::Connector;

/// How often a request is repeated within one attempt to land: the pauses between attempts are the
/// lander's, which has other streams to look after.
const RETRIES: usize = 2;
/// How long it is repeated.
const RETRY_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a bucket cannot be used. Never has a value in it.
#[derive(Debug, thiserror::Error)]
pub enum BucketError {
    /// The URL is of another form.
    #[error("must be `s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix`")]
    Url,
    /// A setting that the store does not have.
    #[error("`{0}` is no setting of this object store")]
    Setting(String),
    /// The settings are not those of a store that can be used.
    #[error("settings of {0} are missing, or are not what they should be")]
    Settings(&'static str),
}

/// Settings of an object store by name: credentials, its region, its address.
#[derive(Clone, Default)]
pub struct Credentials(BTreeMap<String, String>);

impl Credentials {
    /// Settings of these names and values.
    #[must_use]
    pub fn new(settings: BTreeMap<String, String>) -> Self {
        Self(settings)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Bucket {
    /// The bucket at `url`, with `credentials` over those of the environment. Nothing is asked of the
    /// store yet.
    ///
    /// # Errors
    /// [`BucketError`].
    pub fn open(url: &str, credentials: &Credentials) -> Result<Self, BucketError> {
        let (scheme, rest) = url.split_once("://").ok_or(BucketError::Url)?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() || prefix.contains(['?', '#']) {
            return Err(BucketError::Url);
        }
        let store = match scheme {
            "s3" => s3(bucket, credentials),
            "gs" => gs(bucket, credentials),
            "az" => az(bucket, credentials),
            _ => Err(BucketError::Url),
        }?;
        Ok(Self::new(store, prefix.trim_matches('/')))
    }
}

fn s3(bucket: &str, credentials: &Credentials) -> Result<Arc<dyn ObjectStore>, BucketError> {
    let mut builder = AmazonS3Builder::from_env();
    for (key, value) in &credentials.0 {
        builder = builder.with_config(setting(key)?, value);
    }
    let builder = builder.with_bucket_name(bucket).with_retry(retry());
    Ok(Arc::new(builder.with_http_connector(Connector).build().map_err(|error| unusable(&error))?))
}

fn gs(bucket: &str, credentials: &Credentials) -> Result<Arc<dyn ObjectStore>, BucketError> {
    let mut builder = GoogleCloudStorageBuilder::from_env();
    for (key, value) in &credentials.0 {
        builder = builder.with_config(setting(key)?, value);
    }
    let builder = builder.with_bucket_name(bucket).with_retry(retry());
    Ok(Arc::new(builder.with_http_connector(Connector).build().map_err(|error| unusable(&error))?))
}

fn az(container: &str, credentials: &Credentials) -> Result<Arc<dyn ObjectStore>, BucketError> {
    let mut builder = MicrosoftAzureBuilder::from_env();
    for (key, value) in &credentials.0 {
        builder = builder.with_config(setting(key)?, value);
    }
    let builder = builder.with_container_name(container).with_retry(retry());
    Ok(Arc::new(builder.with_http_connector(Connector).build().map_err(|error| unusable(&error))?))
}

fn setting<K: FromStr>(key: &str) -> Result<K, BucketError> {
    let unknown = |_| BucketError::Setting(key.to_owned());
    key.to_ascii_lowercase().parse().map_err(unknown)
}

fn retry() -> RetryConfig {
    let retries = RetryConfig::default();
    RetryConfig { max_retries: RETRIES, retry_timeout: RETRY_TIMEOUT, ..retries }
}

/// What a builder says may have the value of a setting in it: only which kind of fault it is is told.
fn unusable(error: &object_store::Error) -> BucketError {
    BucketError::Settings(match error {
        object_store::Error::Generic { store, .. } => store,
        _ => "the store",
    })
}
