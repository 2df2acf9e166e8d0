//! What cargo and git know of the workspace: its crates, their dependencies, its files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::fault::{During as _, Fault};

/// The workspace as `cargo metadata` describes it for the host's platform, with every feature on: what
/// is built by request only is shipped to those who request it.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
    /// Every package that a build here compiles, ours and others'.
    pub(crate) packages: Vec<Package>,
    members: Vec<String>,
}

/// One package of the dependency graph.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) license: Option<String>,
    pub(crate) manifest_path: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
}

/// One line of a package's manifest.
#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// `None` is a normal dependency; else `dev` or `build`.
    pub(crate) kind: Option<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: Vec<String>,
    workspace_root: PathBuf,
    target_directory: PathBuf,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
}

impl Workspace {
    pub(crate) fn load() -> Result<Self, Fault> {
        let host = host_triple()?;
        let text = output(Command::new("cargo").args([
            "metadata",
            "--format-version=1",
            "--locked",
            "--all-features",
            "--filter-platform",
            &host,
        ]))?;
        let metadata: Metadata = serde_json::from_str(&text).during("reading cargo metadata")?;
        let used: BTreeMap<&str, ()> =
            metadata.resolve.nodes.iter().map(|node| (node.id.as_str(), ())).collect();
        let packages = metadata
            .packages
            .into_iter()
            .filter(|package| used.contains_key(package.id.as_str()))
            .collect();
        Ok(Self {
            root: metadata.workspace_root,
            target: metadata.target_directory,
            packages,
            members: metadata.workspace_members,
        })
    }

    /// The crates of this workspace.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| self.members.contains(&package.id))
    }

    /// The packages of others.
    pub(crate) fn foreign(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| !self.members.contains(&package.id))
    }

    /// Every file that git tracks or would track, relative to the root.
    pub(crate) fn files(&self) -> Result<Vec<PathBuf>, Fault> {
        let listed = output(Command::new("git").current_dir(&self.root).args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ]))?;
        let mut files: Vec<PathBuf> =
            listed.split('\0').filter(|path| !path.is_empty()).map(PathBuf::from).collect();
        // A file deleted but not yet committed is still listed.
        files.retain(|path| self.root.join(path).is_file());
        files.sort();
        files.dedup();
        Ok(files)
    }

    /// The folder where real clients are installed; never inside the tree that git sees.
    pub(crate) fn interop(&self) -> PathBuf {
        self.target.join("interop")
    }

    /// The built binary of `profile`, `debug` or `release`.
    pub(crate) fn binary(&self, profile: &str) -> PathBuf {
        self.target.join(profile).join("outflow")
    }
}

impl Package {
    /// The folder of the manifest.
    pub(crate) fn folder(&self) -> &Path {
        self.manifest_path.parent().unwrap_or(Path::new(""))
    }
}

fn host_triple() -> Result<String, Fault> {
    let text = output(Command::new("rustc").arg("-vV"))?;
    text.lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .ok_or_else(|| Fault::new("`rustc -vV` names no host"))
}

/// Runs `command` and returns what it printed, or its complaint.
pub(crate) fn output(command: &mut Command) -> Result<String, Fault> {
    let done = command.output().during(format_args!("running {command:?}"))?;
    if !done.status.success() {
        let complaint = String::from_utf8_lossy(&done.stderr).trim().to_owned();
        return Err(Fault::new(format!("{command:?} failed: {complaint}")));
    }
    String::from_utf8(done.stdout).during(format_args!("reading the output of {command:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_an_optional_feature_brings_is_looked_at() {
        let workspace = Workspace::load().unwrap();
        // Buckets, which are off unless asked for.
        assert!(workspace.foreign().any(|package| package.name == "object_store"));
    }
}
