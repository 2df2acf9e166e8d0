//! Opens the embedded engine with the configured data directory.

use std::sync::Arc;

use outflow_model::Clock;
use outflow_store::Engine;

use crate::config::Config;
use crate::wiring::StartError;

/// Opens the data directory, recovering what a crash left.
pub(crate) async fn open(config: &Config, clock: Arc<dyn Clock>) -> Result<Arc<dyn Engine>, StartError> {
    let _ = clock;
    Err(StartError::Engine { dir: config.data.dir.clone(), reason: "the embedded engine is not built yet".into() })
}
