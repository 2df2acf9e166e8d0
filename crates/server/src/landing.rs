//! Where what ingest streams hold lands: a directory, or a bucket of an object store.
//!
//! Called by [`crate::wiring`] at the start. Invariant: what is wrong with the settings of an object
//! store is said by their names, never by their values.

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
    #[cfg(feature = "object-stores")]
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
        Target::Bucket(url) => bucket(&url, &landing.credentials_file)?,
    };
    hub.set_landed_files(files);
    let options = Options {
        max_bytes: landing.max_bytes,
        max_age: Duration::from_secs(landing.max_age_s),
        ..Options::default()
    };
    Ok(Some(Lander::new(hub.clone(), place, options, registry)?))
}

#[cfg(not(feature = "object-stores"))]
fn bucket(_url: &str, _credentials: &Path) -> Result<Opened, LandingError> {
    Err(LandingError::NotBuilt)
}

/// The bucket at `url`, with the settings in the file `credentials`, if one is named.
#[cfg(feature = "object-stores")]
fn bucket(url: &str, credentials: &Path) -> Result<Opened, LandingError> {
    use outflow_landing::bucket::{Bucket, Credentials};

    let unusable = |reason: String| LandingError::Credentials {
        path: credentials.display().to_string(),
        reason,
    };
    let mut settings = Credentials::default();
    if !credentials.as_os_str().is_empty() {
        let text =
            std::fs::read_to_string(credentials).map_err(|error| unusable(error.to_string()))?;
        let read = toml::from_str(&text);
        // What the parser says has the line in it.
        let read = read.map_err(|_| unusable("a line is not `name = \"value\"`".to_owned()))?;
        settings = Credentials::new(read);
    }
    let bucket = Arc::new(Bucket::open(url, &settings)?);
    Ok((bucket.clone(), bucket))
}
