//! What we build on: licences, duplicate versions and, given a database, known vulnerabilities.
//!
//! The rules are in `deny.toml`, in the words of cargo-deny, which can read the same file. This
//! check needs no network and no tool beyond cargo.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::advisories;
use crate::fault::{During as _, Fault};
use crate::spdx;
use crate::workspace::Workspace;

/// `deny.toml`, as far as it is used here.
#[derive(Debug, Deserialize)]
pub(crate) struct Rules {
    licenses: Licences,
    bans: Bans,
    pub(crate) advisories: Ignored,
}

#[derive(Debug, Deserialize)]
struct Licences {
    allow: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Bans {
    /// Versions that may stand beside another one of the same crate, each with its reason.
    skip: Vec<Skip>,
}

#[derive(Debug, Deserialize)]
struct Skip {
    /// `name@version`.
    #[serde(rename = "crate")]
    package: String,
    reason: String,
}

/// Advisories that do not concern this product, each with its reason.
#[derive(Debug, Deserialize)]
pub(crate) struct Ignored {
    pub(crate) ignore: Vec<IgnoredAdvisory>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct IgnoredAdvisory {
    pub(crate) id: String,
    pub(crate) reason: String,
}

/// Checks all three and fails with every complaint at once. `database` is an unpacked RustSec
/// database; without one, and without ADVISORY_DB, advisories are not looked at, and that is said.
pub(crate) fn run(workspace: &Workspace, database: Option<&Path>) -> Result<(), Fault> {
    let path = workspace.root.join("deny.toml");
    let text = std::fs::read_to_string(&path).during("reading deny.toml")?;
    let rules: Rules = toml::from_str(&text).during("parsing deny.toml")?;

    let mut complaints = licences(workspace, &rules.licenses.allow);
    complaints.extend(duplicates(workspace, &rules.bans.skip));
    match database
        .map(Path::to_owned)
        .or_else(|| std::env::var_os("ADVISORY_DB").map(PathBuf::from))
    {
        Some(folder) => {
            complaints.extend(advisories::check(workspace, &folder, &rules.advisories)?);
        }
        None => println!("licences: no advisory database given (--advisory-db DIR or ADVISORY_DB)"),
    }
    if complaints.is_empty() {
        println!("licences: {} packages clean", workspace.foreign().count());
        return Ok(());
    }
    for complaint in &complaints {
        println!("{complaint}");
    }
    Err(Fault::new(format!("licences: {} complaints", complaints.len())))
}

fn licences(workspace: &Workspace, allowed: &[String]) -> Vec<String> {
    workspace
        .foreign()
        .filter_map(|package| match &package.license {
            Some(expression) if spdx::allows(expression, allowed) => None,
            Some(expression) => {
                Some(format!("{} {}: licence `{expression}`", package.name, package.version))
            }
            None => Some(format!("{} {}: names no licence", package.name, package.version)),
        })
        .collect()
}

/// One version of a crate needs no excuse: the newest. Every other one needs a line in `deny.toml`,
/// and a line that excuses nothing is itself a complaint.
fn duplicates(workspace: &Workspace, skips: &[Skip]) -> Vec<String> {
    let mut versions: BTreeMap<&str, Vec<semver::Version>> = BTreeMap::new();
    for package in workspace.foreign() {
        if let Ok(version) = semver::Version::parse(&package.version) {
            versions.entry(&package.name).or_default().push(version);
        }
    }
    let mut older = Vec::new();
    for (name, mut found) in versions {
        found.sort();
        found.pop();
        older.extend(found.into_iter().map(|version| format!("{name}@{version}")));
    }
    let excused =
        |one: &String| skips.iter().any(|skip| skip.package == *one && !skip.reason.is_empty());
    let mut complaints: Vec<String> = older
        .iter()
        .filter(|one| !excused(one))
        .map(|one| format!("{one}: a newer version is built as well"))
        .collect();
    complaints.extend(
        skips
            .iter()
            .filter(|skip| !older.contains(&skip.package))
            .map(|skip| format!("deny.toml: {} is no duplicate; remove its line", skip.package)),
    );
    complaints
}
