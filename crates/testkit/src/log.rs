//! The last lines that a process wrote to stderr.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

const LINES: usize = 200;

/// The last lines. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log(Arc<Mutex<VecDeque<String>>>);

impl Log {
    /// Takes lines from `stream` until it ends.
    pub(crate) fn follow(&self, stream: impl AsyncRead + Unpin + Send + 'static) {
        let log = self.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(stream).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let mut kept = log.0.lock();
                if kept.len() == LINES {
                    kept.pop_front();
                }
                kept.push_back(line);
            }
        });
    }

    /// The lines as one text.
    pub(crate) fn text(&self) -> String {
        self.0.lock().iter().flat_map(|line| [line.as_str(), "\n"]).collect()
    }
}
