//! What a check found.

use std::collections::{BTreeMap, BTreeSet};

use outflow_model::{Offset, StreamId};

use crate::recovery::Known;

/// One stream's events: those that are retained and, where the journal no longer tells what was
/// trimmed, those that wait for their place to be used again. Blocks and commits that are
/// retained in part count whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamReport {
    /// The first offset found.
    pub first: Offset,
    /// The last offset found.
    pub last: Offset,
    /// How many events there are.
    pub events: u64,
    /// The bytes of their plain lines.
    pub bytes: u64,
    /// Between how many events offsets are missing. Offsets need not be dense: retention and
    /// publishers leave gaps too.
    pub gaps: u64,
}

/// What a data directory holds, and what is wrong with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The streams that have events. What the journal says is trimmed or dropped is left out.
    pub streams: BTreeMap<StreamId, StreamReport>,
    /// How many segment files there are.
    pub segments: usize,
    /// How many blocks they hold.
    pub blocks: u64,
    /// How many journal files have been used.
    pub journal_files: usize,
    /// How many commits they hold.
    pub commits: u64,
    /// What is damaged, in words; empty when nothing is.
    pub damage: Vec<String>,
    /// The files that were set aside because of damage.
    pub quarantined: Vec<String>,
    /// How many segment files never became whole: their events are in the journal.
    pub unfinished: usize,
}

impl Report {
    /// Whether nothing is damaged and nothing was set aside.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.damage.is_empty() && self.quarantined.is_empty()
    }
}

/// Consecutive events of one stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    pub(super) first: Offset,
    pub(super) last: Offset,
    /// The stream's last event before it; [`Offset::ZERO`]: none, or not known.
    pub(super) previous: Offset,
    pub(super) events: u64,
    pub(super) bytes: u64,
}

/// The report, as it is being made.
#[derive(Debug, Default)]
pub(super) struct Gather {
    pub(super) report: Report,
    sealed: BTreeMap<StreamId, Vec<Run>>,
    journal: BTreeMap<StreamId, Vec<Run>>,
    /// Where streams start, as far as the journal tells.
    starts: BTreeMap<StreamId, Offset>,
}

impl Gather {
    pub(super) fn sealed(&mut self, stream: StreamId, run: Run) {
        self.sealed.entry(stream).or_default().push(run);
    }

    pub(super) fn journaled(&mut self, stream: StreamId, run: Run) {
        self.journal.entry(stream).or_default().push(run);
    }

    /// Notes that a stream starts at `start` or later. Starts only rise, and the id of a dropped
    /// stream is never used again, so that the order of commits does not matter.
    pub(super) fn trimmed(&mut self, stream: StreamId, start: Offset) {
        let known = self.starts.entry(stream).or_insert(start);
        *known = start.max(*known);
    }

    /// The report. With what the state knows it tells of events that are gone.
    pub(super) fn finish(mut self, known: Option<&Known>) -> Report {
        let mut all = std::mem::take(&mut self.sealed);
        for (&stream, runs) in &mut all {
            runs.sort_unstable_by_key(|run| run.first);
            for pair in runs.windows(2) {
                if let [before, after] = pair
                    && after.first <= before.last
                {
                    let what = format!("segments hold offset {} of {stream} twice", after.first);
                    self.report.damage.push(what);
                }
            }
        }
        // The journal keeps what was sealed until its file is used again.
        for (stream, mut runs) in std::mem::take(&mut self.journal) {
            runs.sort_unstable_by_key(|run| run.first);
            let sealed = all.entry(stream).or_default();
            let end = sealed.last().map(|run| run.last);
            sealed.extend(runs.into_iter().filter(|run| end.is_none_or(|end| run.first > end)));
        }
        if let Some(known) = known {
            self.tell_missing(&all, known);
        }
        for (stream, runs) in &mut all {
            let start = self.starts.get(stream).copied().unwrap_or(Offset::ZERO);
            runs.retain(|run| run.last >= start);
        }
        self.report.streams =
            all.into_iter().filter_map(|(id, runs)| Some((id, stream(&runs)?))).collect();
        self.report
    }

    /// Tells of every retained event that the state or a later event names, and that is not there.
    fn tell_missing(&mut self, all: &BTreeMap<StreamId, Vec<Run>>, known: &Known) {
        let starts: BTreeMap<_, _> = known.streams.iter().copied().collect();
        let ends: BTreeMap<_, _> = known.ends.iter().copied().collect();
        let ids: BTreeSet<_> = all.keys().chain(ends.keys()).copied().collect();
        for id in ids {
            let record = starts.get(&id);
            if record.is_some_and(|record| record.is_dropped) {
                continue;
            }
            let start = record.map_or(Offset::FIRST, |record| record.start);
            let mut expected = self.starts.get(&id).copied().unwrap_or(start).max(start);
            let newest = ends.get(&id).map_or(Offset::ZERO, |end| end.last.max(end.sealed));
            let runs = all.get(&id).into_iter().flatten().map(|run| (run.previous, run.last));
            for (previous, last) in runs.chain(std::iter::once((newest, newest))) {
                if previous >= expected {
                    let what =
                        format!("events {expected} to {previous} of stream {id} are missing");
                    self.report.damage.push(what);
                }
                expected = expected.max(last.next());
            }
        }
    }
}

fn stream(runs: &[Run]) -> Option<StreamReport> {
    let (first, last) = (runs.first()?, runs.last()?);
    let gap = |pair: &&[Run]| matches!(pair, [a, b] if a.last.next() != b.first);
    Some(StreamReport {
        first: first.first,
        last: last.last,
        events: runs.iter().map(|run| run.events).sum(),
        bytes: runs.iter().map(|run| run.bytes).sum(),
        gaps: runs.windows(2).filter(gap).count() as u64,
    })
}
