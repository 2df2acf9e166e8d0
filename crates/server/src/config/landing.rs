//! Section `landing`: the files that ingest streams become.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// What switches it off.
const NONE: &str = "none";
/// How the URLs of buckets begin.
const STORES: [&str; 3] = ["s3://", "gs://", "az://"];
/// The folder of the data directory where nothing else is said.
const FOLDER: &str = "landing";

/// Section `landing`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Landing {
    to: String,
    pub(crate) credentials_file: PathBuf,
    pub(crate) max_age_s: u64,
    pub(crate) max_bytes: u64,
}

/// Where files go.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Nowhere.
    None,
    /// A directory of this machine.
    Directory(PathBuf),
    /// A bucket of an object store, by its URL.
    Bucket(String),
}

impl Landing {
    /// Where files go, with this data directory.
    pub(crate) fn target(&self, data: &Path) -> Target {
        match self.to.as_str() {
            "" => Target::Directory(data.join(FOLDER)),
            NONE => Target::None,
            url if url.contains("://") => Target::Bucket(url.to_owned()),
            dir => Target::Directory(PathBuf::from(dir)),
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
        if let Target::Bucket(url) = self.target(Path::new("")) {
            let is_bucket = STORES.iter().any(|store| {
                url.strip_prefix(store)
                    .is_some_and(|name| !name.is_empty() && !name.starts_with('/'))
            });
            refuse(!is_bucket, "landing.to: must be a path, `none`, or a URL such as `s3://bucket/prefix`, `gs://…`, `az://…`".into());
        }
    }
}
