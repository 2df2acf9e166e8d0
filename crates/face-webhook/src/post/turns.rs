//! Whose request goes next: projects in turn, and the endpoints of each in turn.
//!
//! Called by the post: told of the batches that may go, asked for the next one whenever there may be
//! room, and told of each request's beginning and end. Knows no clock and no socket.
//!
//! A project may have as many requests under way, and as many bytes, as some times what is left
//! for all: however many of its endpoints stall, there is room for those of another. Endpoints that
//! were slow to answer share a part of the room; those that may not go for this or for their host
//! stand apart, and are looked at again when that has room.
//!
//! Invariants: what is counted is what is under way; an endpoint stands in one line at most, which
//! costs nothing until its turn; while slow endpoints wait in line, as many are under way or on their way
//! as may be, and who comes newly stands behind them.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use outflow_model::ProjectId;

use crate::options::Options;
use crate::session::BatchId;

/// How many times what is left for all a project may have: alone, four fifths of the room.
const SHARE: usize = 4;
/// Which part of the room those that are slow share.
const SLOW_PART: usize = 10;

/// A project, and the host and port that an endpoint of it is at. What one project's endpoints do at a
/// host is no affair of another's.
pub(super) type Place = Arc<(ProjectId, String)>;

/// An endpoint as far as its turn goes.
#[derive(Debug, Clone)]
pub(super) struct Party {
    pub(super) place: Place,
    /// How many requests it may have under way.
    pub(super) lanes: usize,
    /// Whether it was slow to answer.
    pub(super) is_slow: bool,
}

/// A batch that may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) endpoint: u64,
    pub(super) batch: BatchId,
    pub(super) is_noted: bool,
}

/// Endpoints in the order in which they came.
type Line = BTreeMap<u64, u64>;

/// Which line an endpoint stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Ready,
    Host,
    Slow,
}

/// An endpoint that waits.
#[derive(Debug)]
struct Waiting {
    party: Party,
    batches: VecDeque<Wanted>,
    at: At,
    ticket: u64,
    /// Whether it was let in from the line of the slow ones, for one request.
    is_let_in: bool,
}

#[derive(Debug, Default)]
struct Project {
    in_flight: usize,
    bytes: usize,
    ready: Line,
    /// Those that wait until fewer slow ones are under way.
    slow: Line,
    /// Whether it stands in `turn` or `over`.
    is_in_turn: bool,
    /// Whether it stands in `slow_turn`.
    is_in_slow_turn: bool,
}

#[derive(Debug, Default)]
struct Host {
    in_flight: usize,
    waiting: Line,
}

/// What a request counts for.
#[derive(Debug)]
pub(super) struct Flight {
    place: Place,
    is_slow: bool,
    bytes: usize,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Turns {
    max_in_flight: usize,
    max_per_host: usize,
    /// Of one endpoint alone, which one post serves.
    max_of_one: usize,
    max_bytes: usize,
    in_flight: usize,
    /// How many of these are slow ones', and how many slow ones were let in and have not begun.
    slow: usize,
    let_in: usize,
    bytes: usize,
    waiting: HashMap<u64, Waiting>,
    projects: HashMap<ProjectId, Project>,
    hosts: HashMap<Place, Host>,
    /// The projects that have an endpoint that is ready.
    turn: VecDeque<ProjectId>,
    /// Of these, the ones that have their share.
    over: Vec<ProjectId>,
    /// The projects that have an endpoint that waits for the slow ones.
    slow_turn: VecDeque<ProjectId>,
    flights: HashMap<(u64, BatchId), Flight>,
    tickets: u64,
    /// How many endpoints were looked at.
    #[cfg(test)]
    looks: usize,
}

impl Turns {
    /// With a post's part of what the options allow.
    pub(super) fn new(options: &Options) -> Self {
        let share = |all: usize| (all / options.posts.max(1)).max(1);
        Self {
            max_in_flight: share(options.max_in_flight),
            max_per_host: share(options.max_per_host),
            max_of_one: options.max_per_host,
            max_bytes: share(options.max_body_bytes),
            in_flight: 0,
            slow: 0,
            let_in: 0,
            bytes: 0,
            waiting: HashMap::new(),
            projects: HashMap::new(),
            hosts: HashMap::new(),
            turn: VecDeque::new(),
            over: Vec::new(),
            slow_turn: VecDeque::new(),
            flights: HashMap::new(),
            tickets: 0,
            #[cfg(test)]
            looks: 0,
        }
    }

    pub(super) const fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// A batch is to be sent when its turn comes.
    pub(super) fn want(&mut self, party: Party, wanted: Wanted) {
        self.revise(wanted.endpoint, &party);
        if let Some(known) = self.waiting.get_mut(&wanted.endpoint) {
            known.batches.push_back(wanted);
            return;
        }
        let batches = VecDeque::from([wanted]);
        let waiting = Waiting { party, batches, at: At::Ready, ticket: 0, is_let_in: false };
        self.waiting.insert(wanted.endpoint, waiting);
        self.stand(wanted.endpoint, At::Ready);
    }

    /// An endpoint goes by this now, as far as it waits: it is judged by what its requests count as
    /// when they begin. Its place is as it was.
    pub(super) fn revise(&mut self, endpoint: u64, party: &Party) {
        if let Some(Waiting { party: known, .. }) = self.waiting.get_mut(&endpoint) {
            (known.lanes, known.is_slow) = (party.lanes, party.is_slow);
        }
    }

    /// What waits of an endpoint waits no more; gives the batches.
    pub(super) fn withdraw(&mut self, endpoint: u64) -> VecDeque<Wanted> {
        let Some(waiting) = self.waiting.remove(&endpoint) else { return VecDeque::new() };
        self.let_in -= usize::from(waiting.is_let_in);
        self.step_out(&waiting);
        self.pass(&waiting.party.place);
        waiting.batches
    }

    /// What had its turn at a host did not go: it is the next one's.
    pub(super) fn pass(&mut self, place: &Place) {
        let next = self.hosts.get_mut(place).filter(|host| host.in_flight < self.max_of_one);
        if let Some((_, endpoint)) = next.and_then(|host| host.waiting.pop_first()) {
            self.stand(endpoint, At::Ready);
        }
        self.forget_if_empty(place);
    }

    /// Takes an endpoint out of its line.
    fn step_out(&mut self, waiting: &Waiting) {
        let place = &waiting.party.place;
        let line = match waiting.at {
            At::Ready => self.projects.get_mut(&place.0).map(|one| &mut one.ready),
            At::Slow => self.projects.get_mut(&place.0).map(|one| &mut one.slow),
            At::Host => self.hosts.get_mut(place).map(|one| &mut one.waiting),
        };
        line.map(|line| line.remove(&waiting.ticket));
    }

    /// Puts an endpoint at the end of a line.
    fn stand(&mut self, endpoint: u64, at: At) {
        let Some(waiting) = self.waiting.get_mut(&endpoint) else { return };
        self.tickets += 1;
        (waiting.at, waiting.ticket) = (at, self.tickets);
        let place = &waiting.party.place;
        if at == At::Host {
            let host = self.hosts.entry(Arc::clone(place)).or_default();
            host.waiting.insert(self.tickets, endpoint);
            return;
        }
        let project = self.projects.entry(place.0.clone()).or_default();
        let (line, is_in_turn, turn) = match at {
            At::Slow => (&mut project.slow, &mut project.is_in_slow_turn, &mut self.slow_turn),
            _ => (&mut project.ready, &mut project.is_in_turn, &mut self.turn),
        };
        line.insert(self.tickets, endpoint);
        if !std::mem::replace(is_in_turn, true) {
            turn.push_back(place.0.clone());
        }
    }

    /// How many slow ones may be under way.
    fn max_slow(&self) -> usize {
        (self.max_in_flight / SLOW_PART).max(1)
    }

    /// Whether one more slow one may go, beside those that were let in.
    fn has_room_for_slow(&self) -> bool {
        self.slow + self.let_in < self.max_slow()
    }

    fn has_room(&self) -> bool {
        let has_bytes = self.bytes < self.max_bytes || self.in_flight == 0;
        self.in_flight < self.max_in_flight && has_bytes
    }

    /// Whether a project has its share of the requests, or of the bytes.
    fn is_over(&self, project: &Project) -> bool {
        let is_over = |own: usize, all: usize, max: usize| {
            own > 0 && own >= max.saturating_sub(all).saturating_mul(SHARE)
        };
        is_over(project.in_flight, self.in_flight, self.max_in_flight)
            || is_over(project.bytes, self.bytes, self.max_bytes)
    }

    /// The next batch that may go, if there is room for one. It counts from [`Self::begin`] on.
    pub(super) fn next(&mut self) -> Option<Wanted> {
        while self.has_room() {
            // Here, whatever has made room: one that ended, or that was let in and did not go.
            while self.has_room_for_slow() && self.let_next_in() {}
            let id = self.turn.pop_front()?;
            let Some(project) = self.projects.get_mut(&id) else { continue };
            if project.ready.is_empty() {
                project.is_in_turn = false;
                self.forget_if_idle(&id);
                continue;
            }
            if self.projects.get(&id).is_some_and(|project| self.is_over(project)) {
                self.over.push(id);
                continue;
            }
            let found = self.next_of(&id);
            // It stands behind the others, if it has more.
            self.turn.push_back(id);
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// The next batch of a project. Endpoints that may not go stand apart.
    fn next_of(&mut self, id: &ProjectId) -> Option<Wanted> {
        loop {
            let (_, endpoint) = self.projects.get_mut(id)?.ready.pop_first()?;
            #[cfg(test)]
            {
                self.looks += 1;
            }
            // Slow ones that come newly stand behind those that wait.
            let may_pass = self.has_room_for_slow() && self.slow_turn.is_empty();
            let Some(waiting) = self.waiting.get_mut(&endpoint) else { continue };
            // That was for this look: what does not go now makes room for the next of its like.
            let was_let_in = std::mem::take(&mut waiting.is_let_in);
            self.let_in -= usize::from(was_let_in);
            let Party { place, lanes, is_slow } = &waiting.party;
            let max_per_host = self.max_per_host.max((*lanes).min(self.max_of_one));
            let is_crowded =
                self.hosts.get(place).is_some_and(|host| host.in_flight >= max_per_host);
            let apart = if is_crowded {
                Some(At::Host)
            } else if *is_slow && !was_let_in && !may_pass {
                Some(At::Slow)
            } else {
                None
            };
            if let Some(at) = apart {
                let place = Arc::clone(place);
                self.stand(endpoint, at);
                if at == At::Slow {
                    self.pass(&place);
                }
                continue;
            }
            let wanted = self.waiting.get_mut(&endpoint)?.batches.pop_front();
            if self.waiting.get(&endpoint).is_some_and(|one| one.batches.is_empty()) {
                self.waiting.remove(&endpoint);
            } else {
                self.stand(endpoint, At::Ready);
            }
            if wanted.is_some() {
                return wanted;
            }
        }
    }

    /// A batch is under way.
    pub(super) fn begin(&mut self, endpoint: u64, batch: BatchId, party: Party, bytes: usize) {
        let flight = self.count(party, bytes);
        self.flights.insert((endpoint, batch), flight);
    }

    /// A request that stands in no line is under way, if there is room for it; `None`: there is none.
    pub(super) fn begin_by_hand(&mut self, party: Party, bytes: usize) -> Option<Flight> {
        let Party { place, is_slow, .. } = &party;
        let is_over = self.projects.get(&place.0).is_some_and(|project| self.is_over(project));
        let is_crowded =
            self.hosts.get(place).is_some_and(|host| host.in_flight >= self.max_of_one);
        let may_go = !is_over && !is_crowded && (!is_slow || self.has_room_for_slow());
        (self.has_room() && may_go).then(|| self.count(party, bytes))
    }

    /// A request that stood in no line is of so many bytes.
    pub(super) fn weigh(&mut self, flight: &mut Flight, bytes: usize) {
        let old = std::mem::replace(&mut flight.bytes, bytes);
        self.bytes = self.bytes.saturating_sub(old).saturating_add(bytes);
        if let Some(project) = self.projects.get_mut(&flight.place.0) {
            project.bytes = project.bytes.saturating_sub(old).saturating_add(bytes);
        }
    }

    /// A request that stood in no line is under way no more.
    pub(super) fn end_by_hand(&mut self, flight: Flight) {
        self.uncount(flight);
    }

    /// A request counts from now on.
    fn count(&mut self, party: Party, bytes: usize) -> Flight {
        let Party { place, is_slow, .. } = party;
        self.in_flight += 1;
        self.slow += usize::from(is_slow);
        self.bytes += bytes;
        let project = self.projects.entry(place.0.clone()).or_default();
        project.in_flight += 1;
        project.bytes += bytes;
        self.hosts.entry(Arc::clone(&place)).or_default().in_flight += 1;
        Flight { place, is_slow, bytes }
    }

    /// A batch is under way no more; what it was in the way of is looked at again.
    pub(super) fn end(&mut self, endpoint: u64, batch: BatchId) {
        if let Some(flight) = self.flights.remove(&(endpoint, batch)) {
            self.uncount(flight);
        }
    }

    /// A request counts no more.
    fn uncount(&mut self, flight: Flight) {
        let Flight { place, is_slow, bytes } = flight;
        self.in_flight = self.in_flight.saturating_sub(1);
        self.slow = self.slow.saturating_sub(usize::from(is_slow));
        self.bytes = self.bytes.saturating_sub(bytes);
        if let Some(project) = self.projects.get_mut(&place.0) {
            project.in_flight = project.in_flight.saturating_sub(1);
            project.bytes = project.bytes.saturating_sub(bytes);
        }
        let next = self.hosts.get_mut(&place).and_then(|host| {
            host.in_flight = host.in_flight.saturating_sub(1);
            host.waiting.pop_first()
        });
        if let Some((_, endpoint)) = next {
            self.stand(endpoint, At::Ready);
        }
        // What is left for all is more now. They are few: each has more under way than is left.
        self.turn.extend(self.over.drain(..));
        self.forget_if_empty(&place);
    }

    /// Lets the next one that is slow stand with the others; says whether there was one.
    fn let_next_in(&mut self) -> bool {
        while let Some(id) = self.slow_turn.pop_front() {
            let Some(project) = self.projects.get_mut(&id) else { continue };
            project.is_in_slow_turn = false;
            let Some((_, endpoint)) = project.slow.pop_first() else {
                self.forget_if_idle(&id);
                continue;
            };
            if !project.slow.is_empty() {
                project.is_in_slow_turn = true;
                self.slow_turn.push_back(id);
            }
            if let Some(waiting) = self.waiting.get_mut(&endpoint) {
                waiting.is_let_in = true;
                self.let_in += 1;
            }
            self.stand(endpoint, At::Ready);
            return true;
        }
        false
    }

    fn forget_if_empty(&mut self, place: &Place) {
        if self.hosts.get(place).is_some_and(|one| one.in_flight == 0 && one.waiting.is_empty()) {
            self.hosts.remove(place);
        }
        self.forget_if_idle(&place.0);
    }

    /// Forgets a project of which nothing waits or is under way, unless it stands in a line yet.
    fn forget_if_idle(&mut self, id: &ProjectId) {
        let is_idle = |one: &Project| {
            one.in_flight == 0
                && !one.is_in_turn
                && !one.is_in_slow_turn
                && one.ready.is_empty()
                && one.slow.is_empty()
        };
        if self.projects.get(id).is_some_and(is_idle) {
            self.projects.remove(id);
        }
    }
}

#[cfg(test)]
mod tests;
