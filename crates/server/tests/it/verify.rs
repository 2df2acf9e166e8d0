//! `outflow verify`: says whether a data directory is sound, and changes nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use outflow_testkit::{Options, Server, directory};

use crate::outflow::outflow;

async fn filled() -> tempfile::TempDir {
    let dir = directory().unwrap();
    let options = Options {
        rate: 5000,
        data_dir: Some(dir.path().to_owned()),
        arguments: ["--set", "data.journal_bytes=262144"].map(Into::into).to_vec(),
        ..Options::default()
    };
    let server = Server::start(&options).await.unwrap();
    // Long enough for several journal files to be sealed into segments.
    let sealed = async {
        while segments(dir.path()).len() < 2 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), sealed).await.unwrap();
    assert!(server.terminate(Duration::from_secs(20)).await.unwrap().success());
    dir
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let inner =
        |dir: std::fs::DirEntry| std::fs::read_dir(dir.path()).into_iter().flatten().flatten();
    let classes = std::fs::read_dir(dir.join("segments")).into_iter().flatten().flatten();
    let mut files: Vec<_> = classes.flat_map(inner).map(|file| file.path()).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "seg"));
    files.sort();
    files
}

#[tokio::test]
async fn a_sound_directory_passes_and_a_damaged_one_is_told() {
    let dir = filled().await;
    let path = dir.path().to_str().unwrap();
    let sound = outflow(&["verify", "--data-dir", path, "--json"], &[]);
    assert_eq!(sound.code, 0, "{}{}", sound.stdout, sound.stderr);
    let report: serde_json::Value = serde_json::from_str(&sound.stdout).unwrap();
    assert!(report["events"].as_u64().unwrap() > 0, "{report}");

    let victim = segments(dir.path()).remove(0);
    let mut bytes = std::fs::read(&victim).unwrap();
    let middle = bytes.len() / 3;
    bytes[middle] ^= 1;
    std::fs::write(&victim, &bytes).unwrap();
    let damaged = outflow(&["verify", "--data-dir", path], &[]);
    assert_eq!(damaged.code, 1, "{}{}", damaged.stdout, damaged.stderr);
    let name = victim.file_name().unwrap().to_str().unwrap();
    assert!(damaged.stdout.contains(name), "{}{}", damaged.stdout, damaged.stderr);
    assert_eq!(std::fs::read(&victim).unwrap(), bytes, "verify changed a file");
}

#[test]
fn what_is_not_a_data_directory_is_refused() {
    let dir = directory().unwrap();
    let refused = outflow(&["verify", "--data-dir", dir.path().to_str().unwrap()], &[]);
    assert_eq!(refused.code, 1);
    assert!(!refused.stderr.is_empty());
}

#[test]
fn a_directory_whose_lock_cannot_be_opened_is_not_called_sound() {
    let dir = directory().unwrap();
    // Fails to open whoever runs this; another user's lock does it for everyone but root.
    std::os::unix::fs::symlink("lock", dir.path().join("lock")).unwrap();
    let refused = outflow(&["verify", "--data-dir", dir.path().to_str().unwrap()], &[]);
    assert_eq!((refused.code, refused.stdout.as_str()), (1, ""));
    assert!(refused.stderr.contains("cannot check"), "{}", refused.stderr);
}
