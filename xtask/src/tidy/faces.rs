//! Every face has the same files, and a missing one is information. A further file has to be named
//! and explained in the face's `lib.rs`.

use std::fs;

use crate::fault::{During as _, Fault};
use crate::workspace::Workspace;

const KNOWN: [&str; 8] =
    ["lib", "config", "listen", "wire", "session", "translate", "error", "metrics"];

pub(super) fn check(workspace: &Workspace) -> Result<Vec<String>, Fault> {
    let mut complaints = Vec::new();
    for package in workspace.members().filter(|package| package.name.starts_with("outflow-face-")) {
        let folder = package.folder().join("src");
        let root = fs::read_to_string(folder.join("lib.rs"))
            .during(format_args!("{}: lib.rs", package.name))?;
        let doc: String = root.lines().filter(|line| line.starts_with("//!")).collect();
        for entry in fs::read_dir(&folder).during(format_args!("listing {}", folder.display()))? {
            let path = entry.during("listing a face")?.path();
            let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_file() && !KNOWN.contains(&stem.as_str()) && !doc.contains(&stem) {
                complaints.push(format!(
                    "{}: say in lib.rs's doc why there is a `{stem}.rs`",
                    package.name
                ));
            }
        }
    }
    complaints.sort();
    Ok(complaints)
}
