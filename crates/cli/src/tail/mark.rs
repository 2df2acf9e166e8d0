//! The server-kept cursor of `outflow tail --cursor`: moved behind what was printed, at most once a
//! second, and once more at the end.
//!
//! Called by [`super`] after standard output was flushed, so that the cursor is never ahead of it.

use std::time::Duration;

use http::Method;
use serde_json::json;
use tokio::time::Instant;

use crate::api::Api;
use crate::failure::Failure;
use crate::output;

/// How often the cursor is moved at most.
const INTERVAL: Duration = Duration::from_secs(1);

/// A cursor, and how far it is behind what was printed.
#[derive(Debug)]
pub(crate) struct Mark {
    api: Api,
    path: [String; 7],
    /// The last offset printed, when the server does not know it yet.
    printed: Option<String>,
    moved: Instant,
}

impl Mark {
    pub(crate) fn new(api: &Api, project: &str, stream: &str, name: &str) -> Self {
        let path = ["v1", "projects", project, "streams", stream, "cursors", name];
        Self {
            api: api.clone(),
            path: path.map(str::to_owned),
            printed: None,
            moved: Instant::now(),
        }
    }

    /// Takes note of an event that was printed.
    pub(crate) fn printed(&mut self, offset: &str) {
        let printed = self.printed.get_or_insert_default();
        printed.clear();
        printed.push_str(offset);
    }

    /// Moves the cursor unless that was done within the last second. A server that cannot be
    /// reached just now is asked again later.
    pub(crate) async fn move_now_and_then(&mut self) -> Result<(), Failure> {
        if self.printed.is_none() || self.moved.elapsed() < INTERVAL {
            return Ok(());
        }
        match self.settle().await {
            Err(failure) if failure.is_retryable() => {
                output::message(&format!("outflow: the cursor was not moved: {failure}"));
                Ok(())
            }
            done => done,
        }
    }

    /// Moves the cursor to the last offset printed.
    pub(crate) async fn settle(&mut self) -> Result<(), Failure> {
        self.moved = Instant::now();
        let Some(offset) = &self.printed else { return Ok(()) };
        let path = self.path.each_ref().map(String::as_str);
        self.api.call(Method::PUT, &path, &json!({ "offset": offset })).await?;
        self.printed = None;
        Ok(())
    }
}
