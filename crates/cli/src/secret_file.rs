//! A file that holds what requests are signed with.
//!
//! Called by `listen` and `webhook`, so that a secret need not be written into a command line, which
//! others on the machine may read.

use std::fs::File;
use std::io::{Error, Read};
use std::path::Path;

use outflow_webhook_wire::signature::Secret;

use crate::failure::Failure;

/// The longest secret is far shorter; what is longer is some other file.
const MAX_BYTES: u64 = 4 << 10;

/// The secret in a file, without the space around it.
pub(crate) fn read(path: &Path) -> Result<Secret, Failure> {
    let unusable = |error: Error| {
        Failure::Usage(format!("cannot read the secret in {}: {error}", path.display()))
    };
    let mut text = String::new();
    let file = File::open(path).map_err(unusable)?;
    file.take(MAX_BYTES).read_to_string(&mut text).map_err(unusable)?;
    Ok(Secret::new(text.trim().to_owned()))
}
