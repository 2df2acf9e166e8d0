//! Damage: bits of small journals and segments flipped, lengths cut, and files of a later version.
//! A share of all bits and lengths is tried, other bits in other bytes; with `OUTFLOW_EVERY_BIT` set
//! every single one.
//!
//! Whatever is done to one file: opening and reading never panic, what is read is what was
//! written, nothing before the damage and nothing of other records or blocks is lost, the damage
//! is told, and no byte of the damaged file is removed from the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use futures_util::FutureExt;
use outflow_engine_local::OpenError;
use outflow_model::{Clock, Offset, StreamId};
use outflow_store::contract::reader::events_of;
use outflow_store::contract::sample;
use outflow_store::engine::ReadError;
use outflow_store::{Batch, Engine, Op};

use crate::rig::{DIR, Rig};
use crate::volatile::Volatile;

const STREAMS: u32 = 3;

/// Stands for all events of a commit: stream and offset.
type Place = (StreamId, Offset);

/// A data directory to be damaged, and what it holds.
struct Image {
    rig: Rig,
    files: Vec<(PathBuf, Vec<u8>)>,
    state: Volatile,
    /// Every event's line, and the number of the commit that it came with.
    events: BTreeMap<Place, (Vec<u8>, u64)>,
    commits: u64,
}

impl Image {
    /// `commits` commits of one event for each stream; then as many sealings as there are full
    /// generations when `is_sealed`.
    fn new(commits: u64, is_sealed: bool) -> Self {
        let mut rig = Rig::new(1);
        rig.open().unwrap();
        let engine = rig.engine().clone();
        assert_eq!(engine.commit(vec![sample::make_streams(STREAMS)]), [Ok(())]);
        let mut events = BTreeMap::new();
        for commit in 0..commits {
            let now = rig.clock.now();
            let ops = (1..=STREAMS).map(|id| {
                let (id, offset) = (StreamId(id), Offset::FIRST.plus(commit));
                let size = 100 + 30 * id.0 as usize;
                events.insert((id, offset), (sample::line(id, offset, size), commit));
                Op::Append(sample::append(id, offset, &[size], now))
            });
            assert_eq!(engine.commit(vec![sample::batch(ops)]), [Ok(())]);
            rig.clock.advance(10);
        }
        if is_sealed {
            let _ = engine.close().now_or_never();
            drop(engine);
            rig.open().unwrap();
            while rig.engine().seal_step().unwrap() {}
        }
        rig.kill();
        let (files, state) = (rig.disk.files(), rig.state.copy());
        Self { rig, files, state, events, commits }
    }

    fn of(&self, part: &str, suffix: &str) -> Vec<PathBuf> {
        let paths = self.files.iter().map(|(path, _)| path);
        let wanted = |path: &&PathBuf| {
            path.starts_with(Path::new(DIR).join(part)) && path.to_string_lossy().ends_with(suffix)
        };
        paths.filter(wanted).cloned().collect()
    }

    fn bytes(&self, path: &Path) -> Vec<u8> {
        self.files.iter().find(|(found, _)| found == path).unwrap().1.clone()
    }

    /// Opens the directory with `path` replaced by `bytes`; gives the numbers of the commits that
    /// lost events, and whether anything was told.
    fn with(&mut self, path: &Path, bytes: &[u8]) -> (BTreeSet<u64>, bool) {
        self.rig.kill();
        self.rig.disk.restore(&self.files);
        self.rig.disk.damage(path, bytes.to_vec());
        self.rig.state = self.state.copy();
        self.rig.open().unwrap_or_else(|error| panic!("does not open: {error}"));
        let (found, mut is_told) = self.read();
        let lost = self.events.iter().filter(|(place, _)| !found.contains(place));
        let lost: BTreeSet<_> = lost.map(|(_, (_, commit))| *commit).collect();
        if !self.rig.engine().health().damage.is_empty() {
            is_told = true;
            for id in (1..=STREAMS).map(StreamId) {
                let next = self.rig.engine().bounds(id).unwrap().next;
                assert!(next >= Offset::FIRST.plus(self.commits), "{next} of {id} is given twice");
            }
        }
        let kept = self.rig.disk.files();
        assert!(kept.iter().any(|(_, kept)| kept == bytes), "the damaged file is gone");
        (lost, is_told)
    }

    /// Reads every stream to its end, past damage; what is read is what was written.
    fn read(&self) -> (BTreeSet<Place>, bool) {
        let engine = self.rig.engine();
        let (mut found, mut is_told) = (BTreeSet::new(), false);
        for id in (1..=STREAMS).map(StreamId) {
            let mut from = Offset::ZERO;
            loop {
                match engine.read(id, from, 1 << 20).now_or_never().unwrap() {
                    Ok(read) => {
                        for event in read.blocks.iter().flat_map(|block| events_of(block)) {
                            let place = (id, event.offset);
                            assert_eq!(event.line, self.events[&place].0, "wrong bytes");
                            assert!(found.insert(place) || event.offset < from, "read twice");
                        }
                        if read.next >= read.bounds.next {
                            break;
                        }
                        assert!(read.next > from, "a read that goes nowhere");
                        from = read.next;
                    }
                    Err(ReadError::Damaged { resume, .. }) => {
                        assert!(resume > from, "a resume that goes nowhere");
                        (from, is_told) = (resume, true);
                    }
                    Err(ReadError::Trimmed { start }) => {
                        assert!(start > from, "a start that goes nowhere");
                        from = start;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        }
        (found, is_told)
    }
}

/// Every `few`th, or every single one when that is asked for.
fn stride(few: usize) -> usize {
    if std::env::var_os("OUTFLOW_EVERY_BIT").is_some() { 1 } else { few }
}

/// One bit of every thirteenth byte, another from byte to byte; one of each of the first bytes of
/// each 4 KiB, where heads are.
fn flips(bytes: &[u8]) -> impl Iterator<Item = (usize, Vec<u8>)> + '_ {
    let stride = stride(13);
    let bits = (0..bytes.len() * 8).filter(move |bit| {
        let (at, bit) = (bit / 8 % 4096, bit % 8);
        let is_of_few =
            if at < 40 { bit == at % 8 } else { (at * 8 + bit) % (8 * stride) == at % 8 };
        stride == 1 || is_of_few
    });
    bits.map(|bit| {
        let mut damaged = bytes.to_vec();
        damaged[bit / 8] ^= 1 << (bit % 8);
        (bit / 8, damaged)
    })
}

#[test]
fn a_changed_byte_of_a_journal_costs_one_commit_at_most_and_is_told() {
    let mut image = Image::new(19, false);
    let journals = image.of("journal", ".jrn");
    assert!(journals.len() > 1, "one closed and one in use");
    let last = image.commits - 1;
    for path in journals {
        let bytes = image.bytes(&path);
        for (at, damaged) in flips(&bytes) {
            let (lost, is_told) = image.with(&path, &damaged);
            assert!(lost.len() <= 1, "{path:?} byte {at}: {lost:?} are lost");
            // Before it has rested, the newest commit cannot be told from one that was torn before
            // it was acknowledged.
            let is_newest = lost.first() == Some(&last);
            assert!(
                is_told || lost.is_empty() || is_newest,
                "{path:?} byte {at}: {lost:?} in silence"
            );
        }
    }
}

#[test]
fn a_journal_cut_anywhere_keeps_all_before_the_cut() {
    let mut image = Image::new(19, false);
    for path in image.of("journal", ".jrn") {
        let bytes = image.bytes(&path);
        let whole = image.with(&path, &bytes);
        assert_eq!(whole, (BTreeSet::new(), false), "undamaged");
        let mut before = BTreeSet::new();
        for len in (0..bytes.len()).rev().step_by(stride(61)) {
            let (lost, is_told) = image.with(&path, &bytes[..len]);
            assert!(lost.is_superset(&before), "{path:?} at {len}: a longer file lost more");
            let new = lost.len() - before.len();
            assert!(new <= 1, "{path:?} at {len}: {lost:?}, after {before:?}");
            assert!(is_told, "{path:?} at {len}: {lost:?} in silence");
            before = lost;
        }
    }
}

#[test]
fn a_changed_byte_of_a_segment_costs_one_block_at_most_and_is_told() {
    let mut image = Image::new(40, true);
    let segments = image.of("segments", ".seg");
    assert!(!segments.is_empty());
    for path in segments {
        let bytes = image.bytes(&path);
        for (at, damaged) in flips(&bytes) {
            image.with(&path, &damaged);
            let (found, _) = image.read();
            let lost = image.events.keys().filter(|place| !found.contains(place));
            let streams: BTreeSet<_> = lost.map(|(id, _)| *id).collect();
            assert!(streams.len() <= 1, "{path:?} byte {at}: more than one block is lost");
            let verified = image.rig.engine().0.lock().health();
            assert!(!verified.damage.is_empty(), "{path:?} byte {at}: in silence");
        }
    }
}

#[test]
fn a_segment_cut_anywhere_is_read_up_to_the_cut() {
    let mut image = Image::new(40, true);
    for path in image.of("segments", ".seg") {
        let bytes = image.bytes(&path);
        let mut left = usize::MAX;
        for len in (0..bytes.len()).rev().step_by(stride(7)) {
            let (_, is_told) = image.with(&path, &bytes[..len]);
            assert!(is_told, "{path:?} at {len}: in silence");
            let (found, _) = image.read();
            assert!(found.len() <= left, "a shorter file holds more");
            left = found.len();
        }
    }
}

#[test]
fn a_later_version_is_refused_without_a_write() {
    let mut image = Image::new(40, true);
    let format = Path::new(DIR).join("FORMAT");
    let mut later: Vec<_> = [(format.clone(), b"outflow data 3\n".to_vec())].into();
    for path in image.of("journal", ".jrn").into_iter().chain(image.of("segments", ".seg")) {
        let mut bytes = image.bytes(&path);
        // Both heads: magic, checksum of what follows, version.
        bytes[8] += 1;
        let sum = crc32c::crc32c(&bytes[8..32]);
        bytes[4..8].copy_from_slice(&sum.to_le_bytes());
        later.push((path, bytes));
    }
    assert!(later.len() > 3);
    for (path, bytes) in later {
        image.rig.kill();
        image.rig.disk.restore(&image.files);
        image.rig.disk.damage(&path, bytes);
        image.rig.state = image.state.copy();
        let (files, calls) = (image.rig.disk.files(), image.rig.faults.calls());
        let refused = image.rig.open();
        assert!(matches!(refused, Err(OpenError::Newer { .. })), "{path:?}: {refused:?}");
        assert_eq!(image.rig.faults.calls(), calls, "{path:?}: something was written");
        assert!(image.rig.disk.files() == files);
    }
    image.rig.disk.restore(&image.files);
    image.rig.disk.damage(&format, b"something else\n".to_vec());
    assert!(matches!(image.rig.open(), Err(OpenError::NotOurs(_))));
}

/// Damage does not stop the rest: new events are taken, sealed and read, and stay.
#[test]
fn a_damaged_directory_goes_on() {
    for (part, suffix, is_sealed) in [("journal", ".jrn", false), ("segments", ".seg", true)] {
        let mut image = Image::new(25, is_sealed);
        let path = image.of(part, suffix).remove(0);
        let mut bytes = image.bytes(&path);
        let at = if is_sealed { bytes.len() / 4 } else { 3 * 4096 + 50 };
        bytes[at] ^= 8;
        let (lost, is_told) = image.with(&path, &bytes);
        assert!(!lost.is_empty() && is_told, "{part}: {lost:?}");
        let (before, _) = image.read();
        for n in 0..60 {
            let (id, now) = (StreamId(1), image.rig.clock.now());
            let offset = image.rig.engine().bounds(id).unwrap().next;
            image.events.insert((id, offset), (sample::line(id, offset, 90), image.commits + n));
            let one = Batch::append(sample::append(id, offset, &[90], now));
            assert_eq!(image.rig.engine().commit(vec![one]), [Ok(())]);
            image.rig.engine().seal_step().unwrap();
            image.rig.engine().retain().unwrap();
        }
        for _ in 0..2 {
            let (after, _) = image.read();
            assert_eq!(after.len(), before.len() + 60, "{part}");
            assert!(after.is_superset(&before), "{part}");
            assert!(!image.rig.engine().health().damage.is_empty(), "{part}: forgotten");
            assert!(image.rig.disk.files().iter().any(|(_, kept)| *kept == bytes), "{part}: gone");
            image.rig.kill();
            image.rig.open().unwrap();
        }
    }
}
