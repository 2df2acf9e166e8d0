//! The one error of this tool: a sentence for the person at the terminal.

use std::fmt;

/// What went wrong, in words. Nothing here is handled by code, so it has no kinds.
#[derive(Debug)]
pub(crate) struct Fault(String);

impl Fault {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Says what was being done when an error came up.
pub(crate) trait During<T> {
    fn during(self, what: impl fmt::Display) -> Result<T, Fault>;
}

impl<T, E: fmt::Display> During<T> for Result<T, E> {
    fn during(self, what: impl fmt::Display) -> Result<T, Fault> {
        self.map_err(|error| Fault(format!("{what}: {error}")))
    }
}
