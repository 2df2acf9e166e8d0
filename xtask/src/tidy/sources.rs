//! Rules on each Rust source: it says what it is, is short, and carries no leftovers.

use std::path::Path;

/// Past this a module needs a stated reason; beyond it readers lose the thread.
const LINES_MAX: usize = 500;
const REASON: &str = "//! Long because ";
/// File names that say nothing: one noun per file, and the noun is the design's.
const EMPTY_NAMES: [&str; 9] =
    ["mod", "util", "utils", "helper", "helpers", "common", "manager", "misc", "impls"];

pub(super) fn check(path: &Path, text: &str) -> Vec<String> {
    let shown = path.display();
    let mut complaints = Vec::new();
    if let Some(stem) = path.file_stem().and_then(|stem| stem.to_str())
        && EMPTY_NAMES.contains(&stem)
    {
        complaints.push(format!("{shown}: name the file after the one noun in it; no `{stem}.rs`"));
    }
    if !begins_with_doc(text) {
        complaints
            .push(format!("{shown}: begin with `//!`: what it is, who calls it, whom it calls"));
    }
    let lines = text.lines().count();
    if lines > LINES_MAX && !text.lines().any(|line| line.starts_with(REASON)) {
        complaints.push(format!(
            "{shown}: {lines} lines; split it, or say `{REASON}…` in the module doc"
        ));
    }
    for (number, line) in text.lines().enumerate() {
        if let Some(word) = leftover(line) {
            complaints.push(format!("{shown}:{}: remove `{word}`", number + 1));
        }
    }
    complaints
}

/// Inner attributes may stand before the module doc; nothing else may.
fn begins_with_doc(text: &str) -> bool {
    text.lines()
        .find(|line| !line.trim().is_empty() && !line.starts_with("#!["))
        .is_some_and(|line| line.starts_with("//!"))
}

/// The words are put together here so that this file does not complain of itself.
fn leftover(line: &str) -> Option<&'static str> {
    [
        concat!("FIX", "ME"),
        concat!("TO", "DO"),
        concat!("XX", "X:"),
        concat!("db", "g!("),
        concat!("to", "do!("),
    ]
    .into_iter()
    .find(|word| line.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_source_passes() {
        assert!(
            check(Path::new("crates/x/src/offset.rs"), "#![no_main]\n//! Offsets.\n\nfn f() {}\n")
                .is_empty()
        );
    }

    #[test]
    fn each_fault_is_named_once() {
        let word = concat!("FIX", "ME");
        let complaints = check(Path::new("src/utils.rs"), &format!("fn f() {{}} // {word}\n"));
        assert_eq!(complaints.len(), 3, "{complaints:?}");
        assert!(complaints[2].starts_with("src/utils.rs:1:"), "{complaints:?}");
    }

    #[test]
    fn a_long_file_needs_its_reason() {
        let body = "// x\n".repeat(LINES_MAX);
        assert_eq!(check(Path::new("a.rs"), &format!("//! A.\n{body}")).len(), 1);
        assert!(
            check(Path::new("a.rs"), &format!("//! A.\n//! Long because it is a table.\n{body}"))
                .is_empty()
        );
    }
}
