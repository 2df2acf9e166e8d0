//! Rules on every file of the tree: small, and bound to no one's machine.

use std::path::Path;

/// Larger things belong in a generator or a fixture made by a test.
const BLOB_BYTES_MAX: usize = 256 * 1024;
/// Folders that exist only on somebody's machine; put together so that this file passes.
const MACHINE_FOLDERS: [&str; 5] = [
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/wo", "rk/"),
    concat!("/tm", "p/"),
    concat!("/Us", "ers/"),
];
/// Written by tools, and long by nature.
const GENERATED: [&str; 1] = ["Cargo.lock"];

pub(super) fn check(path: &Path, bytes: &[u8]) -> Vec<String> {
    let shown = path.display();
    let mut complaints = Vec::new();
    if GENERATED.iter().any(|name| path.ends_with(name)) {
        return complaints;
    }
    if bytes.len() > BLOB_BYTES_MAX {
        complaints
            .push(format!("{shown}: {} bytes; keep files under {BLOB_BYTES_MAX}", bytes.len()));
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return complaints };
    for (number, line) in text.lines().enumerate() {
        if let Some(folder) = MACHINE_FOLDERS.into_iter().find(|folder| names_folder(line, folder))
        {
            complaints.push(format!(
                "{shown}:{}: `{folder}` is a folder of one machine; use a relative path",
                number + 1
            ));
        }
    }
    complaints
}

/// Only where the folder begins a path: `a/home/b` is somebody else's business.
fn names_folder(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        line[..at]
            .chars()
            .next_back()
            .is_none_or(|before| !before.is_alphanumeric() && !"-_.}/".contains(before))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_one_machine_are_found_and_urls_are_not() {
        let bad = format!("see `{}x`", MACHINE_FOLDERS[2]);
        assert_eq!(check(Path::new("a.md"), bad.as_bytes()).len(), 1);
        let fine = format!("GET http://h{}x", MACHINE_FOLDERS[0]);
        assert!(check(Path::new("a.md"), fine.as_bytes()).is_empty());
    }

    #[test]
    fn a_big_blob_is_refused() {
        assert_eq!(check(Path::new("a.bin"), &vec![0xff; BLOB_BYTES_MAX + 1]).len(), 1);
    }
}
