//! What memory has of all schedules: whose they are, when they are due, and what they add up to.
//!
//! Called by `add` and `firing`, and by the clockwork, which asks when the next one is due.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use outflow_model::{ProjectId, Rng, StreamId, StreamName, Timestamp};
use outflow_store::{Batch, Engine, Op};
use parking_lot::Mutex;

use super::{CREDENTIALS, MAX_BYTES, MAX_SCHEDULES, Recurrence, record};
use crate::catalog::{Catalog, scan};
use crate::{OpenError, PublishError};

/// How many are published in one go at most, and about how many bytes of them.
const AT_ONCE: usize = 256;
const BYTES_AT_ONCE: usize = 4 << 20;

/// Whose a schedule is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Title {
    pub(super) project: ProjectId,
    pub(super) credential: String,
}

impl Title {
    /// Whose limits it counts against.
    fn spaces(&self) -> [String; 2] {
        [self.project.to_string(), format!("{}/{}", self.project, self.credential)]
    }
}

/// One schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct One {
    pub(super) title: Title,
    /// Where its events go.
    pub(super) stream: StreamId,
    pub(super) name: StreamName,
    /// When it is due next.
    pub(super) due: Timestamp,
    /// What is left of it.
    pub(super) recurrence: Recurrence,
    /// For how many milliseconds an event of it lives; `None`: for ever.
    pub(super) lives: Option<i64>,
    /// The size of its event as it is stored.
    pub(super) bytes: usize,
}

/// A schedule that is due.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) id: u64,
    pub(super) one: One,
}

#[derive(Debug, Clone, Copy, Default)]
struct Total {
    count: usize,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Table {
    all: BTreeMap<u64, One>,
    /// Those that wait, by when they are looked at: when they are due, or are tried again. One that is
    /// on its way to the disk, or is published just now, is not among them.
    waiting: BTreeSet<(Timestamp, u64)>,
    totals: HashMap<String, Total>,
}

impl Table {
    fn check(&self, one: &One) -> Result<(), PublishError> {
        for (space, times) in one.title.spaces().iter().zip([CREDENTIALS, 1]) {
            let total = self.totals.get(space).copied().unwrap_or_default();
            if total.count >= MAX_SCHEDULES * times {
                return Err(PublishError::Refused("there are as many schedules as there may be"));
            }
            if total.bytes + one.bytes > MAX_BYTES * times {
                return Err(PublishError::Refused("schedules hold as much as they may together"));
            }
        }
        Ok(())
    }

    fn add(&mut self, id: u64, one: One) {
        for space in one.title.spaces() {
            let total = self.totals.entry(space).or_default();
            total.count += 1;
            total.bytes += one.bytes;
        }
        self.all.insert(id, one);
    }

    fn remove(&mut self, id: u64) {
        let Some(one) = self.all.remove(&id) else { return };
        for space in one.title.spaces() {
            let Some(total) = self.totals.get_mut(&space) else { continue };
            total.count -= 1;
            total.bytes -= one.bytes;
            if total.count == 0 {
                self.totals.remove(&space);
            }
        }
    }
}

/// All schedules. See the module.
#[derive(Debug, Default)]
pub(crate) struct Schedules(Mutex<Table>);

impl Schedules {
    /// Reads all that were begun before. What a deleted project has left goes.
    pub(crate) async fn load(engine: &dyn Engine, catalog: &Catalog) -> Result<Self, OpenError> {
        let (schedules, mut orphans) = (Self::default(), Vec::new());
        for entry in scan(engine, record::HEADS).await? {
            let corrupt = || OpenError::Corrupt(format!("{:?}: unknown form", entry.key));
            let (title, id) = record::parse_key(&entry.key).ok_or_else(corrupt)?;
            if catalog.tenants.contains_key(title.project.as_str()) {
                let one = record::parse_head(title, &entry.value).ok_or_else(corrupt)?;
                let mut table = schedules.0.lock();
                table.waiting.insert((one.due, id));
                table.add(id, one);
            } else {
                orphans.extend(record::removal(&title, id));
            }
        }
        if !orphans.is_empty() {
            let removed = engine.submit(Batch { ops: orphans, ..Batch::default() }).await;
            if let Err(error) = removed {
                tracing::warn!(%error, "schedules of deleted projects could not be removed");
            }
        }
        Ok(schedules)
    }

    /// Makes room for one that is to be stored; gives its number, which is `wanted` if that is said.
    /// `None`: there is one of that number already.
    pub(super) fn reserve(
        &self,
        one: One,
        wanted: Option<u64>,
        rng: &dyn Rng,
    ) -> Result<Option<u64>, PublishError> {
        let mut table = self.0.lock();
        if wanted.is_some_and(|id| table.all.contains_key(&id)) {
            return Ok(None);
        }
        table.check(&one)?;
        let mut id = wanted.unwrap_or_else(|| rng.next_u64());
        while table.all.contains_key(&id) {
            id = rng.next_u64();
        }
        table.add(id, one);
        Ok(Some(id))
    }

    /// It waits from now on, as `left`; `false`: its project was deleted meanwhile.
    pub(super) fn wait(&self, id: u64, left: Option<(Timestamp, Recurrence)>) -> bool {
        let mut table = self.0.lock();
        let Some(one) = table.all.get_mut(&id) else { return false };
        if let Some((due, recurrence)) = left {
            (one.due, one.recurrence) = (due, recurrence);
        }
        let due = one.due;
        table.waiting.insert((due, id));
        true
    }

    /// It could not be published: it is tried again at `at`.
    pub(super) fn put_off(&self, id: u64, at: Timestamp) {
        let mut table = self.0.lock();
        if table.all.contains_key(&id) {
            table.waiting.insert((at, id));
        }
    }

    /// It is no more.
    pub(super) fn remove(&self, id: u64) {
        self.0.lock().remove(id);
    }

    /// Takes some that are due, the earliest first: they wait no more.
    pub(super) fn take_due(&self, now: Timestamp) -> Vec<Due> {
        let mut table = self.0.lock();
        let (mut some, mut bytes) = (Vec::new(), 0);
        while some.len() < AT_ONCE
            && bytes < BYTES_AT_ONCE
            && let Some(&(at, id)) = table.waiting.first()
            && at <= now
        {
            table.waiting.pop_first();
            if let Some(one) = table.all.get(&id).cloned() {
                bytes += one.bytes;
                some.push(Due { id, one });
            }
        }
        some
    }

    /// When the next one is looked at.
    pub(crate) fn first(&self) -> Option<Timestamp> {
        self.0.lock().waiting.first().map(|(at, _)| *at)
    }

    /// What is to be stored with the deletion of a project. One that is on its way to the disk sees
    /// to itself when it has come there.
    pub(crate) fn project_ending(&self, project: &ProjectId) -> Vec<Op> {
        let table = self.0.lock();
        let own = table.all.iter().filter(|(_, one)| one.title.project == *project);
        own.flat_map(|(id, one)| record::removal(&one.title, *id)).collect()
    }

    /// A project was deleted, and its schedules with it.
    pub(crate) fn project_ended(&self, project: &ProjectId) {
        let mut table = self.0.lock();
        let own = table.all.iter().filter(|(_, one)| one.title.project == *project);
        let own: Vec<u64> = own.map(|(id, _)| *id).collect();
        own.iter().for_each(|id| table.remove(*id));
        let Table { all, waiting, .. } = &mut *table;
        waiting.retain(|(_, id)| all.contains_key(id));
    }
}
