//! Log lines on stderr, as text or JSON, with a level that can change while serving.

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt, reload};

use crate::config::{Format, Log};

/// Why logging was not set up or changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogError {
    /// The level cannot be understood.
    #[error("log.level: `{level}` is not a level: {reason}")]
    Level {
        /// The level as given.
        level: String,
        /// Why.
        reason: String,
    },
    /// Something else logs already.
    #[error("logging is already set up")]
    Taken,
}

/// Changes the level of the log.
#[derive(Debug, Clone)]
pub(crate) struct Level(reload::Handle<Targets, Registry>);

impl Level {
    /// Logs at `level` from now on.
    pub(crate) fn set(&self, level: &str) -> Result<(), LogError> {
        self.0.reload(filter(level)?).map_err(|_| LogError::Taken)
    }
}

/// The levels, from nothing to everything.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Whether `level` can be set.
///
/// # Errors
/// [`LogError::Level`] says why not.
pub(crate) fn check(level: &str) -> Result<(), LogError> {
    filter(level).map(drop)
}

fn filter(level: &str) -> Result<Targets, LogError> {
    let wrong = |reason: String| LogError::Level { level: level.to_owned(), reason };
    // `Targets` takes a word alone for the name of a target, and then logs that target only: a
    // misspelt level would silence everything.
    for directive in level.split(',').map(str::trim) {
        let word = directive.rsplit_once('=').map_or(directive, |(_, word)| word);
        if !LEVELS.iter().any(|known| word.eq_ignore_ascii_case(known)) {
            return Err(wrong(format!(
                "`{directive}` is none of {}, nor target=level",
                LEVELS.join(", ")
            )));
        }
    }
    level.parse().map_err(|error: tracing_subscriber::filter::ParseError| wrong(error.to_string()))
}

/// Begins to log as `log` says.
pub(crate) fn start(log: &Log) -> Result<Level, LogError> {
    let (filter, handle) = reload::Layer::new(filter(&log.level)?);
    let base = tracing_subscriber::registry().with(filter);
    let lines = fmt::layer().with_writer(std::io::stderr);
    let started = match log.format {
        Format::Text => {
            let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
            base.with(lines.with_ansi(colours && std::env::var_os("NO_COLOR").is_none())).try_init()
        }
        Format::Json => base.with(lines.json().flatten_event(true)).try_init(),
    };
    started.map(|()| Level(handle)).map_err(|_| LogError::Taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_level_is_refused() {
        for good in ["off", "warn", "DEBUG", "info,outflow_hub=trace", "outflow=debug, error"] {
            check(good).unwrap();
        }
        for bad in ["loud", "", "info,loud", "outflow_hub", "outflow=loud", "info,"] {
            let refused = check(bad).unwrap_err().to_string();
            assert!(refused.starts_with("log.level: "), "{bad}: {refused}");
        }
    }
}
