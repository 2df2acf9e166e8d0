//! Settings on the command line that can be taken away: a value, or `none`.
//!
//! Used as clap value parsers by the commands that change things.

use std::fmt;

use serde_json::{Value, json};

/// A setting that can be taken away.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Setting<T = u64> {
    /// It is taken away.
    None,
    /// It is set.
    Is(T),
}

impl<T: serde::Serialize> Setting<T> {
    /// As a member of a change.
    pub(crate) fn value(self) -> Value {
        match self {
            Self::None => Value::Null,
            Self::Is(value) => json!(value),
        }
    }
}

/// Reads `none` or what `parse` reads.
pub(crate) fn optional<T: 'static, E: fmt::Display + 'static>(
    parse: fn(&str) -> Result<T, E>,
) -> impl Fn(&str) -> Result<Setting<T>, String> + Clone + Send + Sync + 'static {
    move |text| match text {
        "none" => Ok(Setting::None),
        text => parse(text).map(Setting::Is).map_err(|error| error.to_string()),
    }
}
