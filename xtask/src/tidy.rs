//! Style as a test: machines nag, people think. Each rule says what to do instead.
//!
//! Called by `suite` and by hand. Rules about crates are in [`arrows`], about Rust sources in
//! [`sources`] and [`log_text`], about all files in [`tree`], about face crates in [`faces`].

mod arrows;
mod faces;
mod log_text;
mod sources;
mod tree;

use std::fs;

use crate::fault::{During as _, Fault};
use crate::workspace::Workspace;

/// Checks every rule and fails with all complaints at once.
pub(crate) fn run(workspace: &Workspace) -> Result<(), Fault> {
    let mut complaints = arrows::check(workspace)?;
    complaints.extend(faces::check(workspace)?);
    for path in workspace.files()? {
        let bytes = fs::read(workspace.root.join(&path))
            .during(format_args!("reading {}", path.display()))?;
        complaints.extend(tree::check(&path, &bytes));
        if let Ok(text) = std::str::from_utf8(&bytes)
            && path.extension().is_some_and(|extension| extension == "rs")
        {
            complaints.extend(sources::check(&path, text));
            complaints.extend(log_text::check(&path, text));
        }
    }
    if complaints.is_empty() {
        println!("tidy: clean");
        return Ok(());
    }
    for complaint in &complaints {
        println!("{complaint}");
    }
    Err(Fault::new(format!("tidy: {} complaints", complaints.len())))
}
