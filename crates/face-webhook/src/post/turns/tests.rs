//! Turns without a clock or a socket: how long whose requests wait.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::*;

fn party(project: &str, host: &str) -> Party {
    let place = Arc::new((ProjectId::new(project).unwrap(), host.to_owned()));
    Party { place, lanes: 1, is_slow: false, is_quick: true }
}

fn turns(max_in_flight: usize, max_per_host: usize) -> Turns {
    Turns::new(&Options { max_in_flight, max_per_host, posts: 1, ..Options::default() })
}

/// Requests to parties that each take a time of their own, over and over, by a clock that is
/// moved from one event to the next.
struct World {
    turns: Turns,
    parties: Vec<(Party, u64)>,
    now: u64,
    landing: BinaryHeap<Reverse<(u64, u64)>>,
    /// When each was wanted.
    wanted: HashMap<u64, u64>,
    flying: HashMap<u64, BatchId>,
    batches: u64,
}

impl World {
    fn new(turns: Turns, parties: Vec<(Party, u64)>) -> Self {
        let (landing, wanted) = (BinaryHeap::new(), HashMap::new());
        Self { turns, parties, now: 0, landing, wanted, flying: HashMap::new(), batches: 0 }
    }

    fn want(&mut self, endpoint: u64) {
        self.batches += 1;
        let batch = BatchId(self.batches);
        let party = self.parties[endpoint as usize].0.clone();
        self.turns.want(party, Wanted { endpoint, batch, is_noted: false });
        self.wanted.insert(endpoint, self.now);
    }

    /// Begins what may; gives the longest time that one of `watched` has waited.
    fn go(&mut self, watched: impl Fn(u64) -> bool) -> u64 {
        let mut longest = 0;
        while let Some(Wanted { endpoint, batch, .. }) = self.turns.next() {
            let (party, takes) = self.parties[endpoint as usize].clone();
            self.turns.begin(endpoint, batch, party, 1_000);
            self.landing.push(Reverse((self.now + takes, endpoint)));
            self.flying.insert(endpoint, batch);
            if watched(endpoint) {
                longest = longest.max(self.now - self.wanted[&endpoint]);
            }
        }
        longest
    }

    /// The next request lands; its endpoint wants the next one.
    fn land(&mut self) -> u64 {
        let Reverse((at, endpoint)) = self.landing.pop().unwrap();
        self.now = at;
        self.turns.end(endpoint, self.flying[&endpoint]);
        self.want(endpoint);
        endpoint
    }
}

#[test]
fn thousands_of_stalled_endpoints_of_one_project_cost_another_nothing() {
    // Each at a name of its own, as under a wildcard of the DNS: 15 s until each is given up.
    let mut parties: Vec<_> =
        (0..3_000).map(|at| (party("stalled", &format!("{at}.example")), 15_000)).collect();
    parties.push((party("healthy", "hooks.example"), 2));
    let mut world = World::new(turns(250, 16), parties);
    (0..=3_000).for_each(|endpoint| world.want(endpoint));
    let (mut longest, mut answered) = (0, 0);
    while world.now < 60_000 {
        longest = longest.max(world.go(|endpoint| endpoint == 3_000));
        answered += u64::from(world.land() == 3_000);
    }
    assert_eq!(longest, 0, "milliseconds that a request of the other waited for its turn");
    assert!(answered >= 29_999, "one every 2 ms: {answered}");
}

/// Those that stall from the first request on, or did the last time, leave room to one that answers: in
/// their project, and at their host.
#[test]
fn stalled_endpoints_cost_one_of_their_project_that_was_quick_nothing() {
    for (count, is_one_host) in [(450, false), (40, true)] {
        let stalled = |at: usize| {
            let host = if is_one_host { "one".to_owned() } else { at.to_string() };
            (Party { is_quick: false, ..party("p", &format!("{host}.example")) }, 15_000)
        };
        let mut parties: Vec<_> = (0..count).map(stalled).collect();
        parties.push((party("p", "one.example"), 2));
        let mut world = World::new(turns(250, 16), parties);
        let healthy = count as u64;
        (0..=healthy).for_each(|endpoint| world.want(endpoint));
        let (mut longest, mut answered, mut others) = (0, 0, 0);
        while world.now < 60_000 {
            longest = longest.max(world.go(|endpoint| endpoint == healthy));
            let is_healthy = world.land() == healthy;
            answered += u64::from(is_healthy);
            others += u64::from(!is_healthy);
        }
        assert_eq!(longest, 0, "{count}: milliseconds that it waited for its turn");
        assert!(answered >= 29_999, "{count}: one every 2 ms: {answered}");
        // They have the rest: four fifths of 250 but for the sixteenth that is kept, and 12 at a host.
        let expected = if is_one_host { 12 * 3 } else { 185 * 3 };
        assert!(others >= expected, "{count}: {others} of {expected}");
    }
}

/// What is kept is no more than that: quick ones that fill all there is leave the others their turns.
#[test]
fn quick_ones_do_not_keep_those_out_that_were_not() {
    for is_one_host in [false, true] {
        let host = |at: usize| if is_one_host { 0 } else { at };
        let mut parties: Vec<_> =
            (0..300).map(|at| (party("p", &format!("{}.example", host(at))), 100)).collect();
        for at in 300..303 {
            let new = party("p", &format!("{}.example", host(at)));
            parties.push((Party { is_quick: false, ..new }, 100));
        }
        let mut world = World::new(turns(100, 16), parties);
        (0..303).for_each(|endpoint| world.want(endpoint));
        let mut answered = vec![0_u64; 303];
        while world.now < 60_000 {
            world.go(|_| false);
            answered[world.land() as usize] += 1;
        }
        let average = answered.iter().sum::<u64>() / 303;
        let is_fair = answered.iter().skip(300).all(|own| own * 10 >= average * 9);
        assert!(is_fair, "{is_one_host}: {average} on average of {answered:?}");
    }
}

/// One that waits is called when it turns out to be quick, and stands with its like.
#[test]
fn who_turns_out_to_be_quick_while_it_waits_has_what_is_kept() {
    let mut turns = turns(100, 8);
    let doubtful = Party { is_quick: false, lanes: 2, ..party("p", "one.example") };
    let want = |turns: &mut Turns, endpoint: u64, batch: u64| {
        let wanted = Wanted { endpoint, batch: BatchId(batch), is_noted: false };
        turns.want(doubtful.clone(), wanted);
    };
    let go = |turns: &mut Turns| {
        let next = turns.next();
        if let Some(Wanted { endpoint, batch, .. }) = next {
            turns.begin(endpoint, batch, doubtful.clone(), 1);
        }
        next.map(|one| (one.endpoint, one.batch.0))
    };
    (0..6).for_each(|endpoint| want(&mut turns, endpoint, 1));
    while go(&mut turns).is_some() {}
    assert_eq!(turns.in_flight(), 6, "two of eight are kept");
    want(&mut turns, 7, 1);
    want(&mut turns, 0, 2);
    assert_eq!(go(&mut turns), None);
    turns.revise(0, &Party { is_quick: true, ..doubtful.clone() });
    assert_eq!(go(&mut turns), Some((0, 2)), "past the one that came before it");
    assert_eq!(go(&mut turns), None);
    assert_eq!(turns.withdraw(7).len(), 1);
    for endpoint in 0..6 {
        turns.end(endpoint, BatchId(1));
    }
    turns.end(0, BatchId(2));
    assert_eq!(go(&mut turns), None);
    assert!(turns.projects.is_empty() && turns.hosts.is_empty() && turns.waiting.is_empty());
}

#[test]
fn endpoints_and_projects_take_turns() {
    let mut parties: Vec<_> =
        (0..100).map(|at| (party("many", &format!("{at}.example")), 10)).collect();
    parties.push((party("one", "a.example"), 10));
    let mut world = World::new(turns(10, 10), parties);
    (0..=100).for_each(|endpoint| world.want(endpoint));
    let mut answered = vec![0; 101];
    for _ in 0..2_000 {
        world.go(|_| false);
        answered[world.land() as usize] += 1;
    }
    let most = answered[..100].iter().max().unwrap() - answered[..100].iter().min().unwrap();
    assert!(most <= 2, "{answered:?}");
    assert!(answered[100] * 10 >= 2_000, "the only one of its project waits: {answered:?}");
}

#[test]
fn a_host_that_is_full_costs_no_look_and_holds_up_no_other() {
    let mut parties: Vec<_> = (0..5_000).map(|_| (party("p", "full.example"), 1_000_000)).collect();
    parties.push((party("p", "other.example"), 1));
    let mut world = World::new(turns(1_000, 8), parties);
    (0..=5_000).for_each(|endpoint| world.want(endpoint));
    world.go(|_| false);
    assert_eq!((world.turns.in_flight(), world.turns.looks), (9, 5_001));
    for _ in 0..1_000 {
        assert_eq!(world.land(), 5_000);
        assert_eq!(world.go(|endpoint| endpoint == 5_000), 0);
    }
    assert_eq!(world.turns.looks, 6_001, "one for each request of the other");
}

#[test]
fn hosts_are_counted_by_project_and_lanes_may_have_more_of_theirs() {
    let mut turns = Turns::new(&Options { max_per_host: 8, posts: 4, ..Options::default() });
    let mut went = |party: &Party, from: u64| {
        for batch in 0..20 {
            let batch = BatchId(from + batch);
            turns.want(party.clone(), Wanted { endpoint: from, batch, is_noted: false });
        }
        let mut count = 0;
        while let Some(Wanted { endpoint, batch, .. }) = turns.next() {
            turns.begin(endpoint, batch, party.clone(), 10);
            count += 1;
        }
        count
    };
    assert_eq!(went(&party("a", "shared.example"), 0), 2, "a post's part of 8");
    assert_eq!(went(&party("b", "shared.example"), 100), 2, "nothing of b's is in its way");
    let wide = Party { lanes: 6, ..party("c", "shared.example") };
    assert_eq!(went(&wide, 200), 6, "its lanes");
    let widest = Party { lanes: 64, ..party("d", "shared.example") };
    assert_eq!(went(&widest, 300), 8, "not more than the options allow");
}

#[test]
fn slow_ones_share_a_part_of_the_room_by_project_in_turn() {
    let slow = |project: &str, at: usize| {
        let party = party(project, &format!("{at}.example"));
        (Party { is_slow: true, ..party }, 15_000)
    };
    let mut parties: Vec<_> = (0..1_000).map(|at| slow("many", at)).collect();
    parties.push(slow("few", 0));
    let mut world = World::new(turns(100, 10), parties);
    (0..1_000).for_each(|endpoint| world.want(endpoint));
    assert_eq!(world.go(|_| false), 0);
    world.want(1_000);
    assert_eq!((world.go(|_| false), world.turns.in_flight()), (0, 10));
    while world.turns.flights.keys().all(|(endpoint, _)| *endpoint != 1_000) {
        world.land();
        world.go(|_| false);
    }
    assert_eq!(world.now, 15_000, "it is its project's turn when the first have landed");
}

#[test]
fn what_is_withdrawn_does_not_go_and_nothing_is_left_of_it() {
    let mut turns = turns(3, 1);
    for endpoint in 0..6 {
        let party = party(if endpoint < 3 { "a" } else { "b" }, "one.example");
        let wanted = Wanted { endpoint, batch: BatchId(endpoint), is_noted: true };
        turns.want(party, wanted);
    }
    let first = turns.next().unwrap();
    turns.begin(first.endpoint, first.batch, party("a", "one.example"), 1);
    let second = turns.next().unwrap();
    turns.begin(second.endpoint, second.batch, party("b", "one.example"), 1);
    assert_eq!(turns.next(), None, "both hosts are full");
    let left: Vec<usize> = (0..6).map(|endpoint| turns.withdraw(endpoint).len()).collect();
    assert_eq!(left, [0, 1, 1, 0, 1, 1]);
    turns.end(first.endpoint, first.batch);
    turns.end(second.endpoint, second.batch);
    assert_eq!(turns.next(), None);
    assert!(turns.projects.is_empty() && turns.hosts.is_empty() && turns.waiting.is_empty());
}

#[test]
fn who_waits_for_a_host_is_not_forgotten_when_another_gives_up_its_turn() {
    let mut turns = turns(10, 1);
    let want = |turns: &mut Turns, endpoint| {
        let wanted = Wanted { endpoint, batch: BatchId(endpoint), is_noted: false };
        turns.want(party("p", "one.example"), wanted);
    };
    (0..4).for_each(|endpoint| want(&mut turns, endpoint));
    let next = |turns: &mut Turns| turns.next().map(|wanted| wanted.endpoint);
    assert_eq!(next(&mut turns), Some(0));
    turns.begin(0, BatchId(0), party("p", "one.example"), 1);
    assert_eq!(next(&mut turns), None);
    turns.end(0, BatchId(0));
    // It is the turn of 1, which is paused; and 2 has nothing to send after all.
    assert_eq!(turns.withdraw(1).len(), 1);
    assert_eq!(next(&mut turns), Some(2));
    turns.pass(&party("p", "one.example").place);
    assert_eq!(next(&mut turns), Some(3));
}

#[test]
fn one_that_turns_slow_while_it_waits_has_no_more_than_the_part_of_the_slow() {
    let mut turns = Turns::new(&Options {
        max_in_flight: 100,
        max_per_host: 64,
        posts: 1,
        ..Options::default()
    });
    let wide = Party { lanes: 64, ..party("wide", "a.example") };
    let slow = Party { is_slow: true, ..wide.clone() };
    let other = Party { is_slow: true, ..party("other", "b.example") };
    let want = |turns: &mut Turns, party: &Party, endpoint, batch| {
        let wanted = Wanted { endpoint, batch: BatchId(batch), is_noted: false };
        turns.want(party.clone(), wanted);
    };
    // It always has more to send, so that it never ceases to wait.
    (0..40).for_each(|batch| want(&mut turns, &wide, 0, batch));
    (40..60).for_each(|batch| want(&mut turns, &slow, 0, batch));
    let mut under_way = VecDeque::new();
    while let Some(Wanted { endpoint, batch, .. }) = turns.next() {
        turns.begin(endpoint, batch, slow.clone(), 10);
        under_way.push_back(batch);
    }
    assert_eq!((under_way.len(), turns.slow), (10, turns.max_slow()));
    want(&mut turns, &other, 1, 100);
    assert_eq!(turns.next(), None);
    for _ in 0..4 {
        turns.end(0, under_way.pop_front().unwrap());
        let next = turns.next().unwrap();
        if next.endpoint == 1 {
            return;
        }
        turns.begin(0, next.batch, slow.clone(), 10);
    }
    panic!("the slow one of another project has no turn");
}

#[test]
fn a_place_of_the_slow_is_not_lost_with_who_was_let_in_for_it() {
    const FIRST_SLOW: u64 = 1_000;
    let mut turns = turns(100, 100);
    // So many projects that one always has its turn, and none has its share.
    let of = |at: u64| match at {
        0..FIRST_SLOW => party(&format!("busy{}", at % 100), &format!("{at}.example")),
        _ => {
            Party { is_slow: true, ..party(&format!("slow{}", at % 20), &format!("{at}.example")) }
        }
    };
    let want = |turns: &mut Turns, endpoint| {
        let wanted = Wanted { endpoint, batch: BatchId(endpoint), is_noted: false };
        turns.want(of(endpoint), wanted);
    };
    let go = |turns: &mut Turns, flying: &mut VecDeque<u64>| {
        while let Some(Wanted { endpoint, batch, .. }) = turns.next() {
            turns.begin(endpoint, batch, of(endpoint), 10);
            flying.push_back(endpoint);
        }
    };
    // The first one under way of either kind ends.
    let end = |turns: &mut Turns, flying: &mut VecDeque<u64>, is_slow: bool| {
        let at = flying.iter().position(|at| (*at >= FIRST_SLOW) == is_slow).unwrap();
        let endpoint = flying.remove(at).unwrap();
        turns.end(endpoint, BatchId(endpoint));
        if !is_slow {
            want(turns, endpoint);
        }
    };
    let pause_let_in = |turns: &mut Turns| {
        let is_ready = |(at, one): &(&u64, &Waiting)| **at >= FIRST_SLOW && one.at == At::Ready;
        let ready: Vec<u64> = turns.waiting.iter().filter(is_ready).map(|(at, _)| *at).collect();
        ready.into_iter().for_each(|endpoint| assert_eq!(turns.withdraw(endpoint).len(), 1));
    };
    let mut flying = VecDeque::new();
    (0..300).for_each(|endpoint| want(&mut turns, endpoint));
    (FIRST_SLOW..FIRST_SLOW + 100).for_each(|endpoint| want(&mut turns, endpoint));
    let settle = |turns: &mut Turns, flying: &mut VecDeque<u64>| {
        for _ in 0..3_000 {
            go(turns, flying);
            end(turns, flying, false);
        }
        go(turns, flying);
    };
    settle(&mut turns, &mut flying);
    assert_eq!(turns.slow, 10);
    // Whenever a slow one ends, the one that was let in for it is paused before its turn comes.
    for _ in 0..10 {
        end(&mut turns, &mut flying, true);
        pause_let_in(&mut turns);
        go(&mut turns, &mut flying);
        pause_let_in(&mut turns);
    }
    settle(&mut turns, &mut flying);
    assert_eq!((turns.slow, turns.let_in, flying.len()), (10, 0, 100));
}

#[test]
fn slow_ones_at_a_full_host_leave_their_places_to_others() {
    let mut turns = turns(100, 2);
    let slow = |host: &str| Party { is_slow: true, ..party("p", host) };
    let want = |turns: &mut Turns, endpoint, party: Party| {
        turns.want(party, Wanted { endpoint, batch: BatchId(endpoint), is_noted: false });
    };
    let host = |endpoint: u64| match endpoint {
        0..50 => "full.example".to_owned(),
        _ => format!("{endpoint}.example"),
    };
    let go = |turns: &mut Turns| {
        let mut begun = Vec::new();
        while let Some(Wanted { endpoint, batch, .. }) = turns.next() {
            turns.begin(endpoint, batch, slow(&host(endpoint)), 10);
            begun.push(endpoint);
        }
        begun
    };
    (50..60).for_each(|endpoint| want(&mut turns, endpoint, slow(&host(endpoint))));
    let first = go(&mut turns);
    assert_eq!(first.len(), 10);
    (0..50).for_each(|endpoint| want(&mut turns, endpoint, slow(&host(endpoint))));
    (60..100).for_each(|endpoint| want(&mut turns, endpoint, slow(&host(endpoint))));
    assert!(go(&mut turns).is_empty());
    first.into_iter().for_each(|endpoint| turns.end(endpoint, BatchId(endpoint)));
    let second = go(&mut turns);
    assert_eq!((second.len(), turns.let_in), (10, 0));
    assert_eq!(second.iter().filter(|endpoint| **endpoint < 50).count(), 2);
}
