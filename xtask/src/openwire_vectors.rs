//! `cargo xtask openwire-vectors FILE`: golden OpenWire frames of the reference library, read and
//! written back by the face's codec. Prints each failure, then how many passed and failed.
//!
//! The codec's crate does the work, as one of its examples: this one depends on no crate of the
//! product.

use std::path::Path;

use crate::fault::{During as _, Fault};
use crate::stage::execute;
use crate::suite::cargo;
use crate::workspace::Workspace;

pub(crate) fn run(workspace: &Workspace, file: &str) -> Result<(), Fault> {
    // Cargo may run elsewhere than the caller stands.
    let file = Path::new(file).canonicalize().during(format_args!("looking for {file}"))?;
    let example = ["run", "--quiet", "--locked", "-p", "outflow-face-openwire"];
    execute(cargo(workspace).args(example).args(["--example", "vectors", "--"]).arg(file))
}
