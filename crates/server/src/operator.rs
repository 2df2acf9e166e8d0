//! The first operator's token: issued once, written to a file that only its owner reads.

use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use outflow_auth::{Auth, CredentialKind, IssueError, NewCredential};
use outflow_model::Action;

/// Why there is no operator's token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OperatorError {
    /// It was not issued.
    #[error("the operator's token cannot be issued: {0}")]
    Issue(#[from] IssueError),
    /// The file cannot be written. The credential was taken back.
    #[error("cannot write the operator's token to `{path}`: {error}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
}

/// Issues an operator's token to `file` if there is no operator yet. Says whether it did.
///
/// An operator whose file was lost is not replaced here: whoever can start the server could then
/// make themselves its operator unseen.
pub(crate) async fn ensure(auth: &Auth, file: &Path) -> Result<bool, OperatorError> {
    if auth.list(None, None).iter().any(|credential| credential.kind == CredentialKind::Operator) {
        return Ok(false);
    }
    let issued = auth
        .issue(NewCredential {
            kind: CredentialKind::Operator,
            name: "first operator".into(),
            project: None,
            integration: None,
            actions: BTreeSet::from([Action::Operate]),
            streams: None,
            user: None,
            destinations: None,
            expires: None,
        })
        .await?;
    if let Err(error) = write(file, issued.secret.expose()) {
        // Nobody will ever know this token: it must not stay in force.
        if let Err(error) = auth.revoke(&issued.credential.id).await {
            tracing::error!(%error, "the operator's token that was not written could not be taken back");
        }
        return Err(OperatorError::Write { path: file.to_owned(), error });
    }
    Ok(true)
}

/// Writes a new file that nobody else can read, whole or not at all.
fn write(file: &Path, secret: &str) -> std::io::Result<()> {
    let beside = file.with_extension("new");
    // A file left over from an attempt that was cut short.
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut out =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    writeln!(out, "{secret}")?;
    out.sync_all()?;
    std::fs::rename(&beside, file)
}
