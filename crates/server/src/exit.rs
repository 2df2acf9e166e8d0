//! How the process ends: the exit codes of the server commands.

use std::process::ExitCode;

/// Shown at the end of `outflow serve --help` and `outflow dev --help`.
pub(crate) const HELP: &str = "\
Exit codes:
  0  stopped cleanly after SIGTERM or SIGINT
  1  could not start, for instance because an address is taken
  2  the command line or the configuration was wrong
  6  the storage failed while serving: nothing was acknowledged after the failure; look at the
     disk, run `outflow verify`, then start again
  7  stopped before every connection had finished: by a second signal or by drain.deadline_ms";

/// How a server command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// As asked.
    Clean,
    /// It could not start or do its work.
    Failed,
    /// The command line or the configuration was wrong.
    Misconfigured,
    /// The storage failed while serving.
    StorageFailed,
    /// Connections were cut.
    CutShort,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Clean => 0,
            Exit::Failed => 1,
            Exit::Misconfigured => 2,
            Exit::StorageFailed => 6,
            Exit::CutShort => 7,
        })
    }
}
