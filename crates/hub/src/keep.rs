//! Streams that somebody needs for longer than they were made for.
//!
//! Called by faces whose clients are promised their events for a time (mailboxes); changes the
//! catalog, in turn with all its other changes.

use std::sync::Arc;

use outflow_model::{ProjectId, StreamName};

use crate::catalog::change;
use crate::catalog::turn::{Change, in_turn};
use crate::{Hub, Stream};

impl Hub {
    /// Has a stream keep its events for at least `age_ms` milliseconds, whatever it was set to. The
    /// limit of its size stays.
    ///
    /// # Errors
    /// [`CatalogError`](crate::CatalogError).
    pub fn keep_stream(
        &self,
        project: &ProjectId,
        name: &StreamName,
        age_ms: u64,
    ) -> Change<Arc<Stream>> {
        let (project, name) = (project.clone(), name.clone());
        in_turn(&self.inner, |inner| change::keep_stream(inner, project, name, age_ms))
    }
}
