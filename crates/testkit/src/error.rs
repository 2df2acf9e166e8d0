//! What can go wrong with a process under test.

use std::io;

/// Why the binary did not do what the test needs. The text holds the end of its log.
#[derive(Debug, thiserror::Error)]
pub enum TestkitError {
    /// The binary is not there: build it, or name it by `OUTFLOW_BIN`.
    #[error("no binary `outflow` beside the test; build it or set OUTFLOW_BIN")]
    NoBinary,
    /// The system refused.
    #[error("cannot {what}: {error}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system says.
        error: io::Error,
    },
    /// It ended before it was ready.
    #[error("the server ended before it was ready ({status}); its log ends:\n{log}")]
    Ended {
        /// The exit status, for people.
        status: String,
        /// The end of its log.
        log: String,
    },
    /// It did not become ready, or did not end, in time.
    #[error("the server did not {what} in time; its log ends:\n{log}")]
    TimedOut {
        /// What it did not do.
        what: &'static str,
        /// The end of its log.
        log: String,
    },
    /// Its ready line is not what it should be.
    #[error("the ready line cannot be understood: {0}")]
    ReadyLine(String),
}
