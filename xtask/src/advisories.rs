//! Known vulnerabilities, from an unpacked RustSec database: `crates/<name>/RUSTSEC-*.md`, each
//! with its facts in a fenced TOML block at the top.
//!
//! Read by hand: the `rustsec` crate would more than double what this tool compiles. Only what
//! decides is read: package, patched and unaffected versions, whether it was withdrawn, whether it
//! is informational.

use std::fs;
use std::path::Path;

use semver::{Version, VersionReq};
use serde::Deserialize;

use crate::fault::{During as _, Fault};
use crate::licences::Ignored;
use crate::workspace::Workspace;

#[derive(Debug, Deserialize)]
struct Entry {
    advisory: Advisory,
    #[serde(default)]
    versions: Versions,
}

#[derive(Debug, Deserialize)]
struct Advisory {
    id: String,
    date: Option<String>,
    /// `unmaintained`, `unsound`, `notice`: reported, never failing.
    informational: Option<String>,
    withdrawn: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Versions {
    #[serde(default)]
    patched: Vec<String>,
    #[serde(default)]
    unaffected: Vec<String>,
}

/// Complaints about every package that an advisory of `folder` covers.
pub(crate) fn check(
    workspace: &Workspace,
    folder: &Path,
    ignored: &Ignored,
) -> Result<Vec<String>, Fault> {
    let crates = folder.join("crates");
    if !crates.is_dir() {
        return Err(Fault::new(format!(
            "{}: no `crates` folder; not an advisory database",
            folder.display()
        )));
    }
    let mut complaints = Vec::new();
    for package in workspace.foreign() {
        let Ok(version) = Version::parse(&package.version) else { continue };
        for entry in entries(&crates.join(&package.name))? {
            let id = &entry.advisory.id;
            if entry.advisory.withdrawn.is_some() || !affects(&entry.versions, &version)? {
                continue;
            }
            let date = entry.advisory.date.as_deref().unwrap_or("undated");
            let line = format!("{} {version}: {id} ({date})", package.name);
            let reason = ignored
                .ignore
                .iter()
                .find(|ignored| ignored.id == *id)
                .map(|ignored| &ignored.reason);
            match (&entry.advisory.informational, reason) {
                (_, Some(reason)) => println!("advisories: {line} ignored: {reason}"),
                (Some(kind), None) => println!("advisories: {line} is a notice: {kind}"),
                (None, None) => complaints.push(line),
            }
        }
    }
    Ok(complaints)
}

fn entries(folder: &Path) -> Result<Vec<Entry>, Fault> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut entries = Vec::new();
    for file in fs::read_dir(folder).during(format_args!("listing {}", folder.display()))? {
        let path = file.during("listing the advisory database")?.path();
        let text = fs::read_to_string(&path).during(format_args!("reading {}", path.display()))?;
        let facts =
            facts(&text).ok_or_else(|| Fault::new(format!("{}: no TOML block", path.display())))?;
        entries.push(toml::from_str(facts).during(format_args!("parsing {}", path.display()))?);
    }
    Ok(entries)
}

fn facts(text: &str) -> Option<&str> {
    let inside = text.split_once("```toml")?.1;
    Some(inside.split_once("```")?.0)
}

fn affects(versions: &Versions, version: &Version) -> Result<bool, Fault> {
    for requirement in versions.patched.iter().chain(&versions.unaffected) {
        let requirement =
            VersionReq::parse(requirement).during(format_args!("version `{requirement}`"))?;
        if requirement.matches(version) {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "```toml\n[advisory]\nid = \"RUSTSEC-2024-0001\"\npackage = \"x\"\ndate = \"2024-01-01\"\n\
        [versions]\npatched = [\">= 1.2.3\", \"^0.9.5\"]\nunaffected = [\"< 0.5\"]\n```\n# Title\n";

    #[test]
    fn versions_between_the_fault_and_its_cure_are_affected() {
        let entry: Entry = toml::from_str(facts(TEXT).unwrap()).unwrap();
        let affected =
            |version| affects(&entry.versions, &Version::parse(version).unwrap()).unwrap();
        assert!(affected("1.2.2") && affected("0.9.4") && affected("0.5.0"));
        assert!(!affected("1.2.3") && !affected("0.9.5") && !affected("0.4.9"));
    }
}
