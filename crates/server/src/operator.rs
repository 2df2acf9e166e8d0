//! Operators' tokens that the server writes to a file that only its owner reads: the first one, and
//! with `outflow operator-token` another when that was lost.

use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use outflow_auth::{Auth, CredentialKind, IssueError, NewCredential, SystemRng};
use outflow_model::clock::SystemClock;
use outflow_model::{Action, Clock};

use crate::exit::Exit;
use crate::serve::ServerArgs;
use crate::wiring::StartError;

const EXAMPLES: &str = "\
Examples:
  outflow operator-token --data-dir /var/lib/outflow
  outflow operator-token --config /etc/outflow.toml --revoke-others";

/// Options of `outflow operator-token`.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct OperatorArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    /// Revoke all other operators' tokens.
    #[arg(long)]
    revoke_others: bool,
}

/// Issues another operator's token while no server uses the data directory, whose owner is who may
/// do that, and writes it to the file of the first.
///
/// # Errors
/// [`StartError`].
#[expect(clippy::print_stderr, reason = "messages on stderr")]
pub(crate) async fn renew(
    args: OperatorArgs,
    config: crate::config::Config,
) -> Result<Exit, StartError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let engine = crate::storage::open(&config, Arc::clone(&clock)).await?;
    let auth = Auth::open(Arc::clone(&engine), clock, Arc::new(SystemRng)).await?;
    let others = auth.list(None, None).into_iter();
    let others: Vec<_> = others.filter(|one| one.kind == CredentialKind::Operator).collect();
    let file = config.operator_token_file();
    let done = issue(&auth, &file, "operator at the data directory").await;
    if done.is_ok() && args.revoke_others {
        for other in &others {
            auth.revoke(&other.id).await?;
        }
    }
    engine.close().await;
    done?;
    let revoked = if args.revoke_others { others.len() } else { 0 };
    eprintln!("{}: a new operator's token; {revoked} others were revoked", file.display());
    Ok(Exit::Clean)
}

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
/// make themselves its operator unseen. The log says what does it.
pub(crate) async fn ensure(auth: &Auth, file: &Path) -> Result<bool, OperatorError> {
    if auth.list(None, None).iter().any(|credential| credential.kind == CredentialKind::Operator) {
        if !file.exists() {
            tracing::info!(
                file = %file.display(),
                "the operator's token is not where it was written; should it be lost, \
                 `outflow operator-token` makes another while the server is stopped"
            );
        }
        return Ok(false);
    }
    issue(auth, file, "first operator").await?;
    Ok(true)
}

/// Issues an operator's token named `name` and writes it to `file`, both or neither.
async fn issue(auth: &Auth, file: &Path, name: &str) -> Result<(), OperatorError> {
    let issued = auth
        .issue(NewCredential {
            kind: CredentialKind::Operator,
            name: name.into(),
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
    Ok(())
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
