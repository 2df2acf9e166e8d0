//! Opens the embedded engine with the configured data directory.

use std::sync::Arc;

use outflow_engine_local::{LocalEngine, Options};
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
    let dir = config.data.dir.clone();
    let options = Options {
        journal_bytes: config.data.journal_bytes,
        cache_bytes: config.data.cache_bytes,
        seal_bytes_per_second: config.data.seal_bytes_per_second,
        ..Options::default()
    };
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
