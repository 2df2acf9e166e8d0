//! Which server, as whom, and in which project: the options that every client command shares.
//!
//! Flattened into each command's arguments; [`crate::api::Api`] is made from it.

use std::io::Read;
use std::path::PathBuf;

use clap::Args;

use crate::failure::Failure;

/// The options that every client command shares.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Connection {
    /// The server's address.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "OUTFLOW_SERVER",
        default_value = "http://127.0.0.1:8080"
    )]
    pub(crate) server: String,

    /// A file that holds the token; `-` reads it from standard input.
    /// Otherwise the variable OUTFLOW_TOKEN, then `operator-token` in the data directory.
    #[arg(long, global = true, value_name = "FILE", env = "OUTFLOW_TOKEN_FILE")]
    pub(crate) token_file: Option<PathBuf>,

    /// The data directory of a server on this machine, for its operator token.
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "OUTFLOW_DATA_DIR",
        default_value = "./outflow-data"
    )]
    pub(crate) data_dir: PathBuf,

    /// A PEM file of certificate authorities to trust besides the system's.
    #[arg(long, global = true, value_name = "FILE", env = "OUTFLOW_CA_FILE")]
    pub(crate) ca_file: Option<PathBuf>,

    /// The project; not needed when the token reaches only one.
    #[arg(long, short, global = true, value_name = "ID", env = "OUTFLOW_PROJECT")]
    pub(crate) project: Option<String>,

    /// Print JSON instead of text for people.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// Tokens are far shorter; what is longer is some other file.
const MAX_TOKEN_BYTES: u64 = 8 * 1024;

impl Connection {
    /// Whether the token is the environment's.
    pub(crate) fn token_is_the_variables(&self) -> bool {
        self.token_file.is_none() && variable().is_some()
    }

    /// The token, from the first place that has one.
    pub(crate) fn token(&self) -> Result<Option<String>, Failure> {
        if let Some(path) = &self.token_file {
            let token = if path.as_os_str() == "-" {
                read_token(std::io::stdin().lock())
            } else {
                std::fs::File::open(path).and_then(read_token)
            };
            let token = token.map_err(|error| {
                Failure::Usage(format!("cannot read the token file {}: {error}", path.display()))
            })?;
            return Ok(Some(token));
        }
        if let Some(token) = variable() {
            return Ok(Some(token));
        }
        let path = self.data_dir.join("operator-token");
        match std::fs::File::open(&path).and_then(read_token) {
            Ok(token) => Ok(Some(token)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::Usage(format!("cannot read {}: {error}", path.display()))),
        }
    }
}

/// The token of the environment; a variable that is set to nothing is as one that is not set.
fn variable() -> Option<String> {
    let token = std::env::var("OUTFLOW_TOKEN").ok()?;
    Some(token.trim().to_owned()).filter(|token| !token.is_empty())
}

fn read_token(from: impl Read) -> std::io::Result<String> {
    let mut text = String::new();
    from.take(MAX_TOKEN_BYTES).read_to_string(&mut text)?;
    let token = text.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(std::io::Error::other("it holds no token"));
    }
    Ok(token.to_owned())
}
