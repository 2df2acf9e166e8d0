//! Opens the embedded engine with the configured data directory.
//!
//! Called by [`crate::wiring`] and `outflow operator-token`; [`check`] by `outflow config check`.

use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use outflow_engine_local::{LocalEngine, Options, reserve};
use outflow_model::Clock;
use outflow_store::Engine;

use crate::config::Config;
use crate::wiring::StartError;

/// Opens the data directory, recovering what a crash left.
///
/// # Errors
/// [`StartError::Engine`] says why the directory cannot be used.
pub(crate) async fn open(
    config: &Config,
    clock: Arc<dyn Clock>,
) -> Result<Arc<dyn Engine>, StartError> {
    let (dir, options) = (config.data.dir.clone(), options(config));
    make_private(&dir)
        .map_err(|error| StartError::Engine { dir: dir.clone(), reason: error.to_string() })?;
    let at = dir.clone();
    // Recovery reads files for as long as it takes.
    let opened = tokio::task::spawn_blocking(move || LocalEngine::open(&at, options, clock)).await;
    let reason = match opened {
        Ok(Ok(engine)) => return Ok(Arc::new(engine)),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "recovery was cut short".to_owned(),
    };
    Err(StartError::Engine { dir, reason })
}

fn options(config: &Config) -> Options {
    Options {
        journal_bytes: config.data.journal_bytes,
        cache_bytes: config.data.cache_bytes,
        seal_bytes_per_second: config.data.seal_bytes_per_second,
        ..Options::default()
    }
}

/// What is amiss with the disk of the data directory, which need not be there yet. A server starts all
/// the same.
pub(crate) fn check(config: &Config) -> Option<String> {
    let too_small = reserve::check(&config.data.dir, &options(config)).ok()??;
    Some(format!("data.dir: {too_small}"))
}

/// Makes the directory for its owner alone; says so if an existing one is open to others. Its
/// files are events and hashed tokens: the directory's mode is what keeps them from other users.
fn make_private(dir: &Path) -> std::io::Result<()> {
    if let Ok(found) = std::fs::metadata(dir) {
        if !found.is_dir() {
            return Err(std::io::ErrorKind::NotADirectory.into());
        }
        let mode = found.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            tracing::warn!(
                dir = %dir.display(),
                mode = format!("{mode:o}"),
                "other users of this machine can reach the data directory: chmod 700 closes it"
            );
        }
        return Ok(());
    }
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_directory_is_its_owners_alone_and_an_old_one_stays_as_it_is() {
        let parent = tempfile::tempdir().unwrap();
        let mode = |dir: &Path| std::fs::metadata(dir).unwrap().permissions().mode() & 0o777;
        let new = parent.path().join("a/data");
        make_private(&new).unwrap();
        assert_eq!(mode(&new), 0o700);
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o755)).unwrap();
        make_private(&new).unwrap();
        assert_eq!(mode(&new), 0o755);
    }

    #[test]
    fn what_is_no_directory_is_said_to_be_none() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let refused = make_private(file.path()).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::NotADirectory);
    }
}
