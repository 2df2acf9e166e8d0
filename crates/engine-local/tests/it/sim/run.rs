//! One simulated life: steps, crashes, recoveries, and the oracle's verdict after each.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures_util::FutureExt;
use outflow_model::rng::SeededRng;
use outflow_model::{Clock, Rng, StreamId, Timestamp};
use outflow_store::contract::model::Model;
use outflow_store::contract::sample;
use outflow_store::{AppendError, Batch, Engine, Op};

use super::work;
use crate::faults::{Fault, Loss};
use crate::rig::{AMPLE, Rig};

/// See the module.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) rig: Rig,
    /// What a crash does; drawn each time when `None`.
    pub(crate) loss: Option<Loss>,
    rng: SeededRng,
    model: Model,
    /// What the engine may hold instead, since it did not answer for the latest work.
    maybe: Vec<Model>,
    /// The latest time at which retention may have run.
    retained_at: Timestamp,
    /// Streams whose drop was never answered for.
    unsure_drops: BTreeSet<StreamId>,
    /// The highest revision seen of each key.
    revisions: BTreeMap<Bytes, u64>,
    is_short: bool,
}

impl Run {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            rig: Rig::new(seed ^ 0x5EED),
            loss: None,
            rng: SeededRng::new(seed),
            model: Model::default(),
            maybe: Vec::new(),
            retained_at: Timestamp::default(),
            unsure_drops: BTreeSet::new(),
            revisions: BTreeMap::new(),
            is_short: false,
        }
    }

    /// Opens the empty engine and makes a few streams.
    pub(crate) fn start(&mut self) {
        self.recover();
        self.commit(&[sample::make_streams(3)]);
        self.settle();
    }

    /// One random step, with or without a fault in it.
    pub(crate) fn step(&mut self) {
        if self.rng.below(6) == 0 {
            self.arm();
        }
        match self.rng.below(100) {
            0..62 => {
                let group = 1 + self.rng.below(6);
                self.commit_random(group);
            }
            62..74 => self.seal(),
            74..82 => self.retain(),
            82..90 => self.jump(),
            90..93 => self.check(),
            93..94 => self.mark(),
            94..96 => self.reopen(),
            96..98 => self.squeeze(),
            _ => self.rig.faults.kill(),
        }
        self.settle();
    }

    /// A fixed life through every stage: commits over several journal files, sealing, recycling,
    /// retention of whole segments, re-opening.
    pub(crate) fn script(&mut self) {
        for round in 0..6 {
            for _ in 0..7 {
                self.commit_random(4);
                self.settle();
            }
            self.rig.clock.advance(20_000);
            for step in [Self::seal, Self::retain, Self::seal, Self::mark] {
                step(self);
                self.settle();
            }
            if round % 3 == 2 {
                self.reopen();
                self.settle();
            }
        }
    }

    /// A last crash, and a last look.
    pub(crate) fn finish(&mut self) {
        self.rig.faults.kill();
        self.settle();
        self.check();
    }

    fn arm(&mut self) {
        let fault = match self.rng.below(8) {
            0 => Fault::Eio,
            1 => Fault::Enospc,
            _ => Fault::Crash,
        };
        let only_syncs = self.rng.below(2) == 0;
        let nth = self.rng.below(if only_syncs { 5 } else { 30 });
        self.rig.faults.arm(nth, fault, only_syncs);
    }

    fn commit_random(&mut self, batches: u64) {
        let (engine, now) = (self.rig.engine().clone(), self.rig.clock.now());
        let mut model = self.model.clone();
        let mut group = Vec::new();
        for _ in 0..batches {
            let batch = work::batch(&self.rng, &model, &*engine, now);
            for op in &batch.ops {
                let _ = model.apply(op);
            }
            group.push(batch);
        }
        self.commit(&group);
    }

    /// Commits a group and takes note of what was answered.
    fn commit(&mut self, group: &[Batch]) {
        let engine = self.rig.engine().clone();
        let keys: Vec<_> = group.iter().flat_map(|batch| &batch.ops).filter_map(key_of).collect();
        let revision = |key: &[u8]| {
            let found = engine.get(key).now_or_never().expect("ready").ok().flatten();
            found.map(|entry| entry.revision)
        };
        let before: BTreeMap<_, _> = keys.iter().map(|key| (key.clone(), revision(key))).collect();
        let had = |key: &[u8]| before.get(key).copied().flatten();
        let results = engine.commit(group.to_vec());
        assert_eq!(results.len(), group.len(), "an answer for each batch");
        let mut changed = Vec::new();
        for (batch, result) in group.iter().zip(&results) {
            self.rig.faults.note(&format!("{result:?} for {}", work::told(batch)));
            let latest = self.maybe.last().unwrap_or(&self.model);
            let mut keys = changed.clone();
            let expected = work::expect(latest, batch, &had, &mut keys);
            // A batch refused for want of room changed nothing, whatever stopped the engine later.
            if matches!(result, Ok(()) | Err(AppendError::Stopped(_))) {
                changed = keys;
            }
            match (result, expected) {
                (Ok(()), Ok(after)) => {
                    assert!(self.maybe.is_empty(), "an ack after a failure");
                    self.model = after;
                }
                (Err(AppendError::Stopped(_)), expected) => {
                    self.maybe.extend(expected);
                    self.unsure_drops.extend(batch.ops.iter().filter_map(work::dropped));
                }
                // No room now, nor could the sealer make any. That it does not last is asserted
                // where there is room again.
                (Err(AppendError::Full | AppendError::Throttled), _) => {}
                (Err(AppendError::Invalid(_)), Err(AppendError::Invalid(_))) => {}
                // A drop that was not answered for did happen: nothing else shows that it did.
                (Err(AppendError::Invalid(_)), _) if self.finds_dropped(batch) => {}
                // Larger than a journal file, whatever else it is.
                (Err(AppendError::Invalid(_)), _) if batch.bytes() > 48 << 10 => {}
                (Err(error), Err(expected)) => assert_eq!(*error, expected),
                (result, expected) => {
                    let ops = batch.ops.len();
                    panic!("{result:?} instead of {:?} for {ops} parts", expected.map(drop));
                }
            }
        }
        if self.maybe.is_empty() && !self.rig.faults.is_dead() {
            changed.sort_unstable();
            changed.dedup();
            for key in changed {
                let Some(now) = revision(&key) else { continue };
                let last = self.revisions.insert(key, now);
                assert!(last < Some(now), "revision {now} is back after {last:?}");
            }
        }
    }

    /// Whether `batch` makes a stream anew that may have been dropped; it was, then.
    fn finds_dropped(&mut self, batch: &Batch) -> bool {
        let set = |op: &Op| if let Op::SetStream(id, _) = op { Some(*id) } else { None };
        let found = batch
            .ops
            .iter()
            .filter_map(set)
            .find(|id| self.unsure_drops.contains(id) && !self.model.streams.contains_key(id));
        self.model.dropped.extend(found);
        found.is_some()
    }

    fn seal(&mut self) {
        let sealed = self.rig.engine().seal_step();
        self.rig.faults.note(&format!("seal {sealed:?}"));
    }

    fn retain(&mut self) {
        self.retained_at = self.retained_at.max(self.rig.clock.now());
        let retained = self.rig.engine().retain();
        self.rig.faults.note(&format!("retain {retained:?}"));
        if retained.is_ok() && !self.is_short && !self.rig.faults.has_fired() {
            assert!(!self.rig.engine().health().full, "full, with room");
        }
        if self.maybe.is_empty() && !self.rig.faults.is_dead() {
            let engine = self.rig.engine().clone();
            self.model.follow_retention(&*engine, self.retained_at).unwrap();
        }
    }

    fn mark(&mut self) {
        let marked = self.rig.engine().0.lock().mark();
        self.rig.faults.note(&format!("mark {marked:?}"));
    }

    fn jump(&mut self) {
        let by = match self.rng.below(8) {
            0 => -(self.rng.below(7_200_000) as i64),
            1 => 2 * 86_400_000,
            2 => self.rng.below(7_200_000) as i64,
            _ => self.rng.below(10_000) as i64,
        };
        self.rig.clock.advance(by);
    }

    /// Stops the process in order and starts it again.
    fn reopen(&mut self) {
        let _ = self.rig.engine().close().now_or_never();
        if !self.rig.faults.is_dead() {
            self.rig.kill();
            self.recover();
        }
    }

    /// Little room on the disk for a while.
    fn squeeze(&mut self) {
        self.is_short = true;
        self.rig.disk.set_capacity(self.rig.disk.used() + self.rng.below(400 << 10));
        for _ in 0..6 {
            self.commit_random(6);
            self.seal();
            self.retain();
            self.settle();
        }
        self.rig.disk.set_capacity(AMPLE);
        for _ in 0..4 {
            self.commit_random(1);
            self.seal();
            self.retain();
            self.settle();
        }
        self.is_short = false;
        assert!(!self.rig.engine().health().full, "full for ever");
    }

    /// Brings a machine that went down, or an engine that stopped, back up.
    fn settle(&mut self) {
        if self.rig.faults.is_dead() {
            self.cut_power();
            return self.recover();
        }
        let Some(reason) = self.rig.engine().health().stopped else {
            assert!(self.maybe.is_empty(), "no answer, and yet not stopped");
            return;
        };
        assert!(self.rig.faults.disarm(), "stopped without a fault: {reason}");
        let late = self.rig.engine().commit(vec![sample::make_streams(1)]);
        assert!(matches!(late[..], [Err(AppendError::Stopped(_))]), "{late:?} after {reason}");
        if self.rng.below(2) == 0 {
            self.rig.kill();
        } else {
            self.cut_power();
        }
        self.recover();
    }

    fn cut_power(&mut self) {
        let draw = |run: &Self| run.loss.unwrap_or_else(|| Loss::draw(&run.rng));
        let (disk, state) = (draw(self), draw(self));
        self.rig.faults.note(&format!("power cut: {disk:?} of the disk, {state:?} of the state"));
        self.rig.power_cut(disk, state);
    }

    /// Opens the engine, through crashes while it opens, and finds out which of the possible
    /// outcomes it came back with.
    fn recover(&mut self) {
        for attempt in 0.. {
            if attempt < 3 && self.loss.is_none() && self.rng.below(4) == 0 {
                self.rig.faults.arm(self.rng.below(20), Fault::Crash, self.rng.below(2) == 0);
            }
            match self.rig.open() {
                Ok(()) if !self.rig.faults.is_dead() => break,
                Err(error) if !self.rig.faults.is_dead() => {
                    assert!(self.rig.faults.disarm(), "cannot open: {error}");
                }
                _ => self.cut_power(),
            }
        }
        self.rig.faults.disarm();
        let engine = self.rig.engine().clone();
        let health = engine.health();
        assert_eq!(health.damage, [""; 0], "a crash is no damage");
        assert_eq!(health.stopped, None);
        let mut reasons = Vec::new();
        let latest = std::mem::take(&mut self.model);
        for mut outcome in std::iter::once(latest).chain(std::mem::take(&mut self.maybe)) {
            outcome.unexpire(&*engine);
            let verdict = outcome.follow_retention(&*engine, self.retained_at);
            let verdict = match verdict {
                Ok(()) => outcome.check(&*engine).now_or_never().expect("ready"),
                err => err,
            };
            match verdict {
                Ok(()) => {
                    self.model = outcome;
                    return;
                }
                Err(reason) => reasons.push(reason),
            }
        }
        panic!("recovered to nothing that was acknowledged: {reasons:#?}");
    }

    fn check(&self) {
        if self.maybe.is_empty() && !self.rig.faults.is_dead() {
            let engine = self.rig.engine().clone();
            self.model.check(&*engine).now_or_never().expect("ready").unwrap();
        }
    }
}

fn key_of(op: &Op) -> Option<Bytes> {
    if let Op::Put(put) = op { Some(put.key.clone()) } else { None }
}
