//! Whose request goes next: projects in turn, and the endpoints of each in turn.
//!
//! Called by the post: told of the batches that may go, asked for the next one whenever there may be
//! room, and told of each request's beginning and end. Knows no clock and no socket.
//!
//! A project may have as many requests under way, and as many bytes, as some times what is left
//! for all: however many of its endpoints stall, there is room for those of another. Of that, and of what it
//! may have at one host, a part is for endpoints that answered quickly the last time: those that begin to
//! stall, and those of which nothing is known yet, hold them up only as far as there is room beside. Endpoints
//! that were slow to answer share a part of the room; those that may not go for this or for their host
//! stand apart, and are looked at again when that has room. `lines` is how they stand, `load` what is under way.
//!
//! Invariants: what is counted is what is under way; an endpoint stands in one line at most, which
//! costs nothing until its turn; while slow endpoints wait in line, as many are under way or on their way
//! as may be, and who comes newly stands behind them.

mod lines;
mod load;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use outflow_model::ProjectId;

use crate::options::Options;
use crate::session::BatchId;
use lines::{At, Line, Lines};
use load::Load;

/// Which part of the room those that are slow share.
const SLOW_PART: usize = 10;
/// Which part of what a project may have at one host is kept for those that were quick.
const KEPT_AT_HOST: usize = 4;

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
    /// Whether it answered quickly the last time: not before it has answered at all.
    pub(super) is_quick: bool,
}

/// A batch that may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) endpoint: u64,
    pub(super) batch: BatchId,
    pub(super) is_noted: bool,
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
    load: Load,
    ready: Lines,
    /// Those that wait until fewer slow ones are under way.
    slow: Line,
    /// Whether it stands in `turn` or `over`, and whether in the second.
    is_in_turn: bool,
    is_over: bool,
    /// Whether it stands in `slow_turn`.
    is_in_slow_turn: bool,
}

#[derive(Debug, Default)]
struct Host {
    load: Load,
    waiting: Lines,
}

/// What a request counts for.
#[derive(Debug)]
pub(super) struct Flight {
    place: Place,
    is_slow: bool,
    is_quick: bool,
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
    load: Load,
    /// How many of these are slow ones', and how many slow ones were let in and have not begun.
    slow: usize,
    let_in: usize,
    waiting: HashMap<u64, Waiting>,
    projects: HashMap<ProjectId, Project>,
    hosts: HashMap<Place, Host>,
    /// The projects that have an endpoint that is ready.
    turn: VecDeque<ProjectId>,
    /// Of these, the ones that have their share, or whose endpoints that are ready may not have more.
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
            load: Load::default(),
            slow: 0,
            let_in: 0,
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
        self.load.requests
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
        let Some(waiting) = self.waiting.get(&endpoint) else { return };
        let stands_otherwise = waiting.party.is_quick != party.is_quick && waiting.at != At::Slow;
        if stands_otherwise {
            let (place, at, ticket) =
                (Arc::clone(&waiting.party.place), waiting.at, waiting.ticket);
            self.step_out(&place, !party.is_quick, at, ticket);
        }
        if let Some(Waiting { party: known, .. }) = self.waiting.get_mut(&endpoint) {
            let Party { lanes, is_slow, is_quick, .. } = *party;
            (known.lanes, known.is_slow, known.is_quick) = (lanes, is_slow, is_quick);
        }
        if stands_otherwise {
            self.stand(endpoint, At::Ready);
        }
    }

    /// What waits of an endpoint waits no more; gives the batches.
    pub(super) fn withdraw(&mut self, endpoint: u64) -> VecDeque<Wanted> {
        let Some(waiting) = self.waiting.remove(&endpoint) else { return VecDeque::new() };
        self.let_in -= usize::from(waiting.is_let_in);
        let Waiting { party, at, ticket, .. } = &waiting;
        self.step_out(&party.place, party.is_quick, *at, *ticket);
        self.pass(&party.place);
        waiting.batches
    }

    /// What had its turn at a host did not go: it is the next one's.
    pub(super) fn pass(&mut self, place: &Place) {
        if self.hosts.get(place).is_some_and(|host| host.load.requests < self.max_of_one) {
            self.call_next_at(place);
        }
        self.forget_if_empty(place);
    }

    /// Has the next one that waits for a host stand with those that are ready: the first, but for one that
    /// may not go beside what is kept for others.
    fn call_next_at(&mut self, place: &Place) {
        let Some(host) = self.hosts.get(place) else { return };
        let other = host.waiting.first_other().and_then(|other| self.waiting.get(&other));
        let only_quick = other.is_some_and(|other| self.is_crowded(&other.party));
        let next = self.hosts.get_mut(place).and_then(|host| {
            let waiting = &mut host.waiting;
            waiting.pop(only_quick).or_else(|| waiting.pop(false))
        });
        if let Some(endpoint) = next {
            self.stand(endpoint, At::Ready);
        }
    }

    /// Whether a host has no room for one more request of an endpoint.
    fn is_crowded(&self, party: &Party) -> bool {
        let max = self.max_per_host.max(party.lanes.min(self.max_of_one));
        let kept = self.max_per_host / KEPT_AT_HOST;
        self.hosts.get(&party.place).is_some_and(|Host { load, .. }| {
            load.requests >= max || (!party.is_quick && load.doubtful >= max.saturating_sub(kept))
        })
    }

    /// Takes an endpoint out of its line.
    fn step_out(&mut self, place: &Place, is_quick: bool, at: At, ticket: u64) {
        let lines = match at {
            At::Ready => self.projects.get_mut(&place.0).map(|one| &mut one.ready),
            At::Host => self.hosts.get_mut(place).map(|one| &mut one.waiting),
            At::Slow => {
                self.projects.get_mut(&place.0).map(|one| one.slow.remove(&ticket));
                None
            }
        };
        if let Some(lines) = lines {
            lines.remove(is_quick, ticket);
        }
    }

    /// Puts an endpoint at the end of a line.
    fn stand(&mut self, endpoint: u64, at: At) {
        let Some(waiting) = self.waiting.get_mut(&endpoint) else { return };
        self.tickets += 1;
        (waiting.at, waiting.ticket) = (at, self.tickets);
        let Party { place, is_quick, .. } = &waiting.party;
        if at == At::Host {
            let host = self.hosts.entry(Arc::clone(place)).or_default();
            host.waiting.insert(*is_quick, self.tickets, endpoint);
            return;
        }
        let project = self.projects.entry(place.0.clone()).or_default();
        if at == At::Slow {
            project.slow.insert(self.tickets, endpoint);
            if !std::mem::replace(&mut project.is_in_slow_turn, true) {
                self.slow_turn.push_back(place.0.clone());
            }
            return;
        }
        project.ready.insert(*is_quick, self.tickets, endpoint);
        if *is_quick && std::mem::take(&mut project.is_over) {
            // There may be room for it, where there is none for those that were here.
            self.over.retain(|over| *over != place.0);
            project.is_in_turn = false;
        }
        if !std::mem::replace(&mut project.is_in_turn, true) {
            self.turn.push_back(place.0.clone());
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
        let Load { requests, bytes, .. } = self.load;
        requests < self.max_in_flight && (bytes < self.max_bytes || requests == 0)
    }

    /// Whether a project has its share of the requests, or of the bytes.
    fn is_over(&self, project: &Project) -> bool {
        project.load.has_share(&self.load, (self.max_in_flight, self.max_bytes))
    }

    /// Whether only those of a project may go that were quick.
    fn is_for_quick_ones(&self, project: &Project) -> bool {
        project.load.has_share_beside_kept(&self.load, (self.max_in_flight, self.max_bytes))
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
            let Some(project) = self.projects.get(&id) else { continue };
            let only_quick = self.is_for_quick_ones(project);
            if self.is_over(project) || !project.ready.has_any(only_quick) {
                if let Some(project) = self.projects.get_mut(&id) {
                    project.is_over = true;
                }
                self.over.push(id);
                continue;
            }
            let found = self.next_of(&id, only_quick);
            // It stands behind the others, if it has more.
            self.turn.push_back(id);
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// The next batch of a project. Endpoints that may not go stand apart.
    fn next_of(&mut self, id: &ProjectId, only_quick: bool) -> Option<Wanted> {
        loop {
            let endpoint = self.projects.get_mut(id)?.ready.pop(only_quick)?;
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
            let party = &self.waiting.get(&endpoint)?.party;
            let apart = if self.is_crowded(party) {
                Some(At::Host)
            } else if party.is_slow && !was_let_in && !may_pass {
                Some(At::Slow)
            } else {
                None
            };
            if let Some(at) = apart {
                let place = Arc::clone(&party.place);
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
        let Party { place, is_slow, is_quick, .. } = &party;
        let is_over = self.projects.get(&place.0).is_some_and(|project| {
            self.is_over(project) || (!is_quick && self.is_for_quick_ones(project))
        });
        let is_crowded =
            self.hosts.get(place).is_some_and(|host| host.load.requests >= self.max_of_one);
        let may_go = !is_over && !is_crowded && (!is_slow || self.has_room_for_slow());
        (self.has_room() && may_go).then(|| self.count(party, bytes))
    }

    /// A request that stood in no line is of so many bytes.
    pub(super) fn weigh(&mut self, flight: &mut Flight, bytes: usize) {
        let old = std::mem::replace(&mut flight.bytes, bytes);
        self.load.weigh(flight.is_quick, old, bytes);
        for load in self.loads_of(&flight.place) {
            load.weigh(flight.is_quick, old, bytes);
        }
    }

    /// A request that stood in no line is under way no more.
    pub(super) fn end_by_hand(&mut self, flight: Flight) {
        self.uncount(flight);
    }

    /// A request counts from now on.
    fn count(&mut self, party: Party, bytes: usize) -> Flight {
        let Party { place, is_slow, is_quick, .. } = party;
        self.slow += usize::from(is_slow);
        self.load.begin(is_quick, bytes);
        self.projects.entry(place.0.clone()).or_default().load.begin(is_quick, bytes);
        self.hosts.entry(Arc::clone(&place)).or_default().load.begin(is_quick, bytes);
        Flight { place, is_slow, is_quick, bytes }
    }

    /// A batch is under way no more; what it was in the way of is looked at again.
    pub(super) fn end(&mut self, endpoint: u64, batch: BatchId) {
        if let Some(flight) = self.flights.remove(&(endpoint, batch)) {
            self.uncount(flight);
        }
    }

    /// What is under way of a project, and at a host of it.
    fn loads_of(&mut self, place: &Place) -> impl Iterator<Item = &mut Load> {
        let project = self.projects.get_mut(&place.0).map(|one| &mut one.load);
        project.into_iter().chain(self.hosts.get_mut(place).map(|one| &mut one.load))
    }

    /// A request counts no more.
    fn uncount(&mut self, flight: Flight) {
        let Flight { place, is_slow, is_quick, bytes } = flight;
        self.slow = self.slow.saturating_sub(usize::from(is_slow));
        self.load.end(is_quick, bytes);
        for load in self.loads_of(&place) {
            load.end(is_quick, bytes);
        }
        self.call_next_at(&place);
        // What is left for all is more now. They are few: each has requests under way.
        for id in self.over.drain(..) {
            if let Some(project) = self.projects.get_mut(&id) {
                project.is_over = false;
            }
            self.turn.push_back(id);
        }
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
        let is_empty = |one: &Host| one.load.requests == 0 && one.waiting.is_empty();
        if self.hosts.get(place).is_some_and(is_empty) {
            self.hosts.remove(place);
        }
        self.forget_if_idle(&place.0);
    }

    /// Forgets a project of which nothing waits or is under way, unless it stands in a line yet.
    fn forget_if_idle(&mut self, id: &ProjectId) {
        let is_idle = |one: &Project| {
            one.load.requests == 0
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
