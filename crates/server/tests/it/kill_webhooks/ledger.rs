//! What a receiver remembers of the messages that came, and what it asserts of each: the same bytes under the same id,
//! each lane in order, nothing passed over.
//!
//! Invariant: nothing here knows what the server thinks: what a receiver has answered well is taken.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io::Read as _;

use flate2::read::GzDecoder;
use serde_json::Value;

/// How an endpoint is set up.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) name: &'static str,
    pub(crate) batch: u32,
    /// With lanes, each key is in an order of its own.
    pub(crate) lanes: Option<u32>,
    pub(crate) gzip: bool,
    /// Whether it is replayed now and then.
    pub(crate) replays: bool,
}

/// What came to one endpoint.
#[derive(Debug)]
pub(crate) struct Came {
    setup: &'static Setup,
    /// The bytes of each message, by its id.
    bodies: HashMap<String, Vec<u8>>,
    /// In which message each event is, by its offset, where it may be in one only.
    messages: HashMap<u64, String>,
    /// By key, or one for all.
    lanes: HashMap<String, Lane>,
    /// The names of the events in messages that were answered with success.
    pub(crate) taken: HashSet<String>,
    requests: u64,
    failed: u64,
    /// From which offset on all was asked for again, and after which request.
    replays: Vec<(u64, u64)>,
}

/// What came of what is kept in order.
#[derive(Debug, Default)]
struct Lane {
    /// With which request each event was last taken.
    seen: BTreeMap<u64, Option<u64>>,
    /// Those that were never taken.
    open: BTreeSet<u64>,
    /// The event that came last, and whether it was taken.
    last: Option<(u64, bool)>,
}

impl Came {
    pub(crate) fn new(setup: &'static Setup) -> Self {
        Self {
            setup,
            bodies: HashMap::new(),
            messages: HashMap::new(),
            lanes: HashMap::new(),
            taken: HashSet::new(),
            requests: 0,
            failed: 0,
            replays: Vec::new(),
        }
    }

    /// Takes note of a request; `taken`: it will be answered with success.
    pub(crate) fn note(&mut self, message: &str, bytes: &[u8], taken: bool) {
        self.requests += 1;
        self.failed += u64::from(!taken);
        let name = self.setup.name;
        let before = self.bodies.entry(message.to_owned()).or_insert_with(|| bytes.to_vec());
        assert_eq!(before, bytes, "{name}: {message} came with other bytes");
        let document: Value = if self.setup.gzip {
            let mut text = Vec::new();
            GzDecoder::new(bytes).read_to_end(&mut text).unwrap();
            serde_json::from_slice(&text).unwrap()
        } else {
            serde_json::from_slice(bytes).unwrap()
        };
        let events = document.as_array().cloned().unwrap_or_else(|| vec![document.clone()]);
        assert!(events.len() <= self.setup.batch as usize, "{name}: {} events", events.len());
        let mut together = HashSet::new();
        for event in &events {
            let offset: u64 = event["offset"].as_str().unwrap().parse().unwrap();
            // A replay makes batches anew, but for those of one event; lanes do after a crash.
            if self.setup.batch == 1 || (self.setup.lanes.is_none() && !self.setup.replays) {
                let known = self.messages.entry(offset).or_insert_with(|| message.to_owned());
                assert_eq!(known, message, "{name}: event {offset} came in two messages");
            }
            let lane = if self.setup.lanes.is_some() { &event["key"] } else { &Value::Null };
            let lane = lane.as_str().unwrap_or_default().to_owned();
            let place = self.lanes.entry(lane.clone()).or_default();
            place.come(offset, taken, &together, self.requests, &format!("{name} {lane}"));
            together.insert(offset);
            if taken {
                self.taken.insert(event["body"]["n"].as_str().unwrap().to_owned());
            }
        }
    }

    /// One of the last `most` events that came, counted from the latest.
    pub(crate) fn recent(&self, most: usize, nth: impl FnOnce(usize) -> usize) -> Option<u64> {
        let mut all: Vec<u64> = self
            .lanes
            .values()
            .flat_map(|lane| lane.seen.keys().rev().take(most))
            .copied()
            .collect();
        all.sort_unstable_by(|one, other| other.cmp(one));
        all.truncate(most);
        (!all.is_empty()).then(|| all[nth(all.len())])
    }

    /// How many requests have come.
    pub(crate) const fn requests(&self) -> u64 {
        self.requests
    }

    /// All from this event on was asked for again, when so many requests had come, and that was granted.
    pub(crate) fn replayed(&mut self, from: u64, after: u64) {
        self.replays.push((from, after));
    }

    /// How many of the events that were asked for again have not been taken since.
    pub(crate) fn not_replayed(&self) -> usize {
        // Of what came before a replay only the one that was asked for last counts, for each event.
        let is_owed = |offset: u64, taken: Option<u64>| {
            let owed = self.replays.iter().filter(|(from, _)| *from <= offset);
            owed.map(|(_, after)| *after)
                .max()
                .is_some_and(|after| taken.is_none_or(|at| at <= after))
        };
        let all = self.lanes.values().flat_map(|lane| &lane.seen);
        all.filter(|(offset, taken)| is_owed(**offset, **taken)).count()
    }

    /// What there was, for people.
    pub(crate) fn summary(&self) -> String {
        let events: usize = self.lanes.values().map(|lane| lane.seen.len()).sum();
        let Self { setup, bodies, lanes, requests, failed, replays, .. } = self;
        let (name, bodies, lanes, replays) = (setup.name, bodies.len(), lanes.len(), replays.len());
        format!(
            "{name}: {events} events in {bodies} messages, {lanes} lanes, {requests} requests, \
             {failed} failed, {replays} replays"
        )
    }

    /// Whether it had to do all that this is about.
    pub(crate) fn is_tried(&self) -> bool {
        self.failed > 0 && self.setup.replays != self.replays.is_empty()
    }
}

impl Lane {
    /// An event has come, behind those that are `together` with it.
    fn come(&mut self, offset: u64, taken: bool, together: &HashSet<u64>, now: u64, name: &str) {
        if let Some((last, was_taken)) = self.last
            && offset > last
        {
            let is_with_it = together.contains(&last);
            assert!(was_taken || is_with_it, "{name}: {offset} before {last} was taken");
            let passed: Vec<_> = self.seen.range(last + 1..offset).map(|(one, _)| *one).collect();
            assert!(passed.is_empty(), "{name}: from {last} to {offset} past {passed:?}");
        }
        if !self.seen.contains_key(&offset) {
            let highest = self.seen.last_key_value().map(|(highest, _)| *highest);
            assert!(highest.is_none_or(|one| one < offset), "{name}: {offset} after {highest:?}");
            let open: Vec<_> = self.open.iter().filter(|one| !together.contains(one)).collect();
            assert!(open.is_empty(), "{name}: {offset} before {open:?} were taken");
            self.open.insert(offset);
        }
        let last_taken = self.seen.entry(offset).or_default();
        if taken {
            *last_taken = Some(now);
            self.open.remove(&offset);
        }
        self.last = Some((offset, taken));
    }
}
