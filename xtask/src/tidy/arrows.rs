//! The storeys of the design: which crate may name which. An arrow goes down only.
//!
//! Only normal dependencies count; tests may reach further. A crate without a row fails, so a new
//! one has to be placed on purpose.

use std::fs;

use crate::fault::{During as _, Fault};
use crate::workspace::{Package, Workspace};

/// What a crate may depend on: crate names without the `outflow-` prefix.
enum Row {
    Only(&'static [&'static str]),
    Anything,
}

fn row(name: &str) -> Option<Row> {
    Some(match name {
        "model" | "xtask" => Row::Only(&[]),
        "store" | "body" | "face" | "generator" | "testkit" | "bench" => Row::Only(&["model"]),
        "auth" | "hub" => Row::Only(&["store", "model"]),
        "webhook-wire" => Row::Only(&["auth", "model"]),
        "landing" => Row::Only(&["hub", "model"]),
        "broker" => Row::Only(&["face", "hub", "model"]),
        "face-stomp" | "face-openwire" => Row::Only(&["broker", "face", "hub", "auth", "model"]),
        "admin" => Row::Only(&["body", "face", "hub", "auth", "model"]),
        "cli" => Row::Only(&["webhook-wire", "model", "bench"]),
        "outflow" => Row::Anything,
        _ if name.starts_with("engine-") => Row::Only(&["store", "model"]),
        "face-webhook" => Row::Only(&["webhook-wire", "face", "hub", "auth", "model"]),
        _ if name.starts_with("face-") => Row::Only(&["body", "face", "hub", "auth", "model"]),
        _ => return None,
    })
}

pub(super) fn check(workspace: &Workspace) -> Result<Vec<String>, Fault> {
    let mut complaints = Vec::new();
    let ours: Vec<&str> = workspace.members().map(|package| package.name.as_str()).collect();
    for package in workspace.members() {
        complaints.extend(check_arrows(package, &ours));
        complaints.extend(check_lints(package)?);
    }
    Ok(complaints)
}

fn check_arrows(package: &Package, ours: &[&str]) -> Vec<String> {
    let name = short(&package.name);
    let Some(row) = row(name) else {
        return vec![format!(
            "{name}: no storey; give it a row in xtask/src/tidy/arrows.rs and in ARCHITECTURE.md"
        )];
    };
    let Row::Only(allowed) = row else { return Vec::new() };
    package
        .dependencies
        .iter()
        .filter(|dependency| dependency.kind.is_none() && ours.contains(&dependency.name.as_str()))
        .map(|dependency| short(&dependency.name))
        .filter(|below| !allowed.contains(below))
        .map(|below| format!("{name}: may not depend on {below}; allowed are {allowed:?}"))
        .collect()
}

fn check_lints(package: &Package) -> Result<Option<String>, Fault> {
    let path = &package.manifest_path;
    let text = fs::read_to_string(path).during(format_args!("reading {}", path.display()))?;
    let manifest: toml::Table = text.parse().during(format_args!("parsing {}", path.display()))?;
    let inherits = manifest
        .get("lints")
        .and_then(|lints| lints.get("workspace"))
        .and_then(toml::Value::as_bool);
    Ok((inherits != Some(true))
        .then(|| format!("{}: add `[lints] workspace = true`", package.name)))
}

fn short(name: &str) -> &str {
    name.strip_prefix("outflow-").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Dependency;

    fn package(name: &str, kind: Option<&str>, below: &str) -> Package {
        Package {
            id: String::new(),
            name: name.to_owned(),
            version: String::new(),
            license: None,
            manifest_path: "Cargo.toml".into(),
            dependencies: vec![Dependency {
                name: below.to_owned(),
                kind: kind.map(str::to_owned),
            }],
        }
    }

    const OURS: [&str; 3] = ["outflow-store", "outflow-hub", "outflow-face-ndjson"];

    #[test]
    fn a_face_that_names_the_store_is_refused() {
        let complaints =
            check_arrows(&package("outflow-face-ndjson", None, "outflow-store"), &OURS);
        assert_eq!(complaints.len(), 1, "{complaints:?}");
    }

    #[test]
    fn a_test_dependency_may_reach_further() {
        assert!(
            check_arrows(&package("outflow-face-ndjson", Some("dev"), "outflow-store"), &OURS)
                .is_empty()
        );
    }

    #[test]
    fn an_arrow_down_passes_and_a_stranger_has_no_row() {
        assert!(check_arrows(&package("outflow-hub", None, "outflow-store"), &OURS).is_empty());
        assert_eq!(check_arrows(&package("outflow-novelty", None, "serde"), &OURS).len(), 1);
    }
}
