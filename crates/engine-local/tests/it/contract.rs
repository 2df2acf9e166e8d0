//! The laws of every engine, on this one with its threads and a real disk. A crash is an image of
//! the data directory taken while the engine runs, as `kill -9` would leave it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use outflow_engine_local::{LocalEngine, Options};
use outflow_model::clock::ManualClock;
use outflow_store::contract::machine::walk;
use outflow_store::contract::{Bed, Reopen};
use outflow_store::{Engine, EngineFuture};
use proptest::prelude::*;
use tempfile::TempDir;

#[derive(Debug)]
struct LocalBed {
    dir: TempDir,
    clock: Arc<ManualClock>,
    engine: Option<Arc<LocalEngine>>,
    options: Options,
    full: bool,
}

fn options() -> Options {
    Options {
        journal_bytes: 2 << 20,
        block_bytes: 16 << 10,
        reserve_bytes: Some(0),
        retention_interval_ms: i64::MAX as u64,
        ..Options::default()
    }
}

/// What is in a directory, and when it was last changed.
fn fingerprint(dir: &Path) -> Vec<(PathBuf, u64, std::time::SystemTime)> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut all = Vec::new();
    for entry in entries.flatten() {
        let Ok(meta) = entry.metadata() else { continue };
        if meta.is_dir() {
            all.extend(fingerprint(&entry.path()));
        } else {
            all.push((entry.path(), meta.len(), meta.modified().unwrap()));
        }
    }
    all.sort();
    all
}

/// An image of a directory as it was at one moment: taken again until nothing changed meanwhile.
fn still_image(from: &Path) -> TempDir {
    loop {
        let (before, to) = (fingerprint(from), TempDir::new().unwrap());
        if image(from, to.path()).is_ok() && fingerprint(from) == before {
            return to;
        }
    }
}

fn image(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let to: PathBuf = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            image(&entry.path(), &to)?;
        } else {
            std::fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

impl LocalBed {
    fn open(&mut self) {
        let options = Options {
            reserve_bytes: Some(if self.full { u64::MAX } else { 0 }),
            ..self.options.clone()
        };
        let engine = LocalEngine::open(self.dir.path(), options, self.clock.clone()).unwrap();
        self.engine = Some(Arc::new(engine));
    }

    fn local(&self) -> &Arc<LocalEngine> {
        self.engine.as_ref().unwrap()
    }
}

impl Bed for LocalBed {
    fn engine(&self) -> Arc<dyn Engine> {
        self.local().clone()
    }

    fn clock(&self) -> &ManualClock {
        &self.clock
    }

    fn reopen(&mut self, how: Reopen) -> EngineFuture<'_, ()> {
        Box::pin(async move {
            if how == Reopen::Crash {
                let crashed = still_image(self.dir.path());
                self.local().close().await;
                self.dir = crashed;
            } else {
                self.local().close().await;
            }
            // The law may still hold the old engine, and with it the lock: go on in an image.
            self.engine = None;
            if how == Reopen::Clean {
                self.dir = still_image(self.dir.path());
            }
            self.open();
        })
    }

    fn seal(&mut self) -> EngineFuture<'_, ()> {
        Box::pin(async { self.local().seal().await.unwrap() })
    }

    fn retain(&mut self) -> EngineFuture<'_, ()> {
        Box::pin(async { self.local().retain().await.unwrap() })
    }

    fn set_full(&mut self, is_full: bool) {
        self.full = is_full;
        self.local().set_reserve(if is_full { u64::MAX } else { 0 });
    }
}

async fn bed() -> LocalBed {
    let (dir, clock) = (TempDir::new().unwrap(), Arc::new(ManualClock::default()));
    let mut bed = LocalBed { dir, clock, engine: None, options: options(), full: false };
    bed.open();
    bed
}

outflow_store::engine_contract!(crate::contract::bed);

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]
    #[test]
    fn any_walk_agrees_with_the_model(steps in prop::collection::vec(any::<[u8; 4]>(), 0..80)) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut bed = bed().await;
            walk(&mut bed, &steps).await;
        });
    }
}
