//! Where what ingest streams hold lands: a directory, or a bucket of an object store.
//!
//! Called by [`crate::wiring`] at the start, and by `outflow config check`. Invariant: what is wrong with the settings of an object
//! store is said by their names, never by their values.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use outflow_hub::Hub;
use outflow_hub::landing::LandedFiles;
use outflow_landing::{Directory, Lander, Options, Place};
use prometheus_client::registry::Registry;

use crate::config::{Config, Target};

/// Why landing cannot begin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LandingError {
    /// Object stores are a feature of the build.
    #[cfg(not(feature = "object-stores"))]
    #[error("to: this build has no object stores; build it with `--features object-stores`")]
    NotBuilt,
    /// The bucket cannot be used.
    #[cfg(feature = "object-stores")]
    #[error("to: {0}")]
    Bucket(#[from] outflow_landing::bucket::BucketError),
    /// The file of credentials cannot be used.
    #[error("credentials_file: cannot use `{path}`: {reason}")]
    Credentials {
        /// The file.
        path: String,
        /// Why; nothing of what is in it.
        reason: String,
    },
    /// The lander cannot be made.
    #[error("to: {0}")]
    Lander(#[from] outflow_landing::lander::LandError),
}

/// Where files are put, and where they are read.
type Opened = (Arc<dyn Place>, Arc<dyn LandedFiles>);

/// What lands ingest streams, if that is wanted. Puts its metrics into `registry`.
pub(crate) fn lander(
    config: &Config,
    hub: &Hub,
    registry: &mut Registry,
) -> Result<Option<Lander>, LandingError> {
    let landing = &config.landing;
    let (place, files): Opened = match landing.target(&config.data.dir) {
        Target::None => return Ok(None),
        Target::Directory(dir) => {
            let directory = Arc::new(Directory::new(dir));
            (directory.clone(), directory)
        }
        Target::Bucket(url) => bucket(&url, settings(&landing.credentials_file)?)?,
    };
    hub.set_landed_files(files);
    let options = Options {
        max_bytes: landing.max_bytes,
        max_age: Duration::from_secs(landing.max_age_s),
        ..Options::default()
    };
    Ok(Some(Lander::new(hub.clone(), place, options, registry)?))
}

/// What is wrong with where files land, as far as it can be told without going there.
pub(crate) fn check(config: &Config) -> Vec<LandingError> {
    let landing = &config.landing;
    let Target::Bucket(url) = landing.target(&config.data.dir) else { return Vec::new() };
    let (settings, unread) = match settings(&landing.credentials_file) {
        Ok(settings) => (settings, None),
        // What the store says without them is told as well: most have the rest from elsewhere.
        Err(error) => (BTreeMap::new(), Some(error)),
    };
    unread.into_iter().chain(bucket(&url, settings).err()).collect()
}

/// The settings of an object store in the file `credentials`, if one is named.
fn settings(credentials: &Path) -> Result<BTreeMap<String, String>, LandingError> {
    if credentials.as_os_str().is_empty() {
        return Ok(BTreeMap::new());
    }
    let unusable = |reason: String| LandingError::Credentials {
        path: credentials.display().to_string(),
        reason,
    };
    let text = std::fs::read_to_string(credentials).map_err(|error| unusable(error.to_string()))?;
    // What the parser says has the line in it.
    toml::from_str(&text).map_err(|_| unusable("a line is not `name = \"value\"`".to_owned()))
}

#[cfg(not(feature = "object-stores"))]
fn bucket(_url: &str, _settings: BTreeMap<String, String>) -> Result<Opened, LandingError> {
    Err(LandingError::NotBuilt)
}

/// The bucket at `url`, with these settings.
#[cfg(feature = "object-stores")]
fn bucket(url: &str, settings: BTreeMap<String, String>) -> Result<Opened, LandingError> {
    use outflow_landing::bucket::{Bucket, Credentials};

    let bucket = Arc::new(Bucket::open(url, &Credentials::new(settings))?);
    Ok((bucket.clone(), bucket))
}
