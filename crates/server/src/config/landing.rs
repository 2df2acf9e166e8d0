//! Section `landing`: the files that ingest streams become.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// What switches it off.
const NONE: &str = "none";
/// The folder of the data directory where nothing else is said.
const FOLDER: &str = "landing";

/// Section `landing`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Landing {
    dir: PathBuf,
    pub(crate) max_age_s: u64,
    pub(crate) max_bytes: u64,
}

impl Landing {
    /// Where files go, with this data directory; `None`: nowhere.
    pub(crate) fn dir(&self, data: &Path) -> Option<PathBuf> {
        match self.dir.as_os_str() {
            dir if dir.is_empty() => Some(data.join(FOLDER)),
            dir if dir == NONE => None,
            _ => Some(self.dir.clone()),
        }
    }

    /// Says to `refuse` what is wrong.
    pub(super) fn check(&self, refuse: &mut impl FnMut(bool, String)) {
        let age = 1..=3_600;
        refuse(!age.contains(&self.max_age_s), "landing.max_age_s: must be 1 to 3600".into());
        let bytes = 1 << 10..=1 << 30;
        refuse(
            !bytes.contains(&self.max_bytes),
            "landing.max_bytes: must be 1024 to 1073741824".into(),
        );
    }
}
