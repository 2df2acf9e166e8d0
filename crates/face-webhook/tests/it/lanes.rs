//! Sessions with lanes by key: what one key comes to is its own affair, whatever else happens to its
//! endpoint.

use std::collections::BTreeSet;
use std::time::Duration;

use outflow_face_webhook::outcome::{Failure, Outcome};
use outflow_face_webhook::schedule::{Schedule, Wish};
use outflow_face_webhook::session::{Input, Rules};
use outflow_model::Offset;

use crate::session_model::{Event, World, again, rules};

/// What happens to an endpoint.
type Happens = fn(&mut World);

const BAD: u64 = 3;
const HOUR_MS: i64 = 3_600_000;

/// An endpoint with four lanes, of which one key waits for an hour, and nothing else is there.
fn beside_one_that_waits(seed: u64) -> World {
    let schedule = Schedule::new(vec![Duration::from_secs(3_600)]).unwrap();
    let mut world = World::new(seed, Rules { schedule, ..rules(1, Some(4)) });
    world.published.push(Event { offset: 1, key: BAD });
    world.deliver(100);
    world.land(|_, _| again());
    world
}

/// A key that waits for nothing is sent within so many seconds.
fn sends_another_key_within(world: &mut World, seconds: u32, what: &str) {
    let before = world.flying.len();
    let offset = world.published.last().unwrap().offset + 1;
    world.published.push(Event { offset, key: 7 });
    for _ in 0..seconds {
        world.deliver(100);
        if world.flying.values().flatten().any(|event| event.key == 7) {
            return;
        }
        world.pass(1_000);
    }
    panic!("{what}: {before} and {} under way: {:?}", world.flying.len(), world.session);
}

#[test]
fn a_key_that_waits_holds_up_no_other_whatever_happens_to_its_endpoint() {
    let happens: [(&str, Happens); 6] = [
        ("nothing", |_| {}),
        ("other entitlements", World::entitle),
        ("no room", |world| world.tell(Input::Shed)),
        ("other settings", |world| {
            let rules = rules(5, Some(4));
            let schedule = world.rules.schedule.clone();
            world.rules = Rules { schedule, ..rules };
            world.tell(Input::Changed(world.rules.clone()));
        }),
        ("a recovery", |world| {
            world.tell(Input::Moving);
            world.tell(Input::Reopened(Offset::LAST));
        }),
        ("a restart", World::restart),
    ];
    for (seed, (what, happens)) in (0..).zip(happens) {
        let mut world = beside_one_that_waits(seed);
        happens(&mut world);
        // Twice, as the first may find what was still to be given back.
        for _ in 0..2 {
            sends_another_key_within(&mut world, 12, what);
            let is_bad = |events: &[Event]| events.iter().any(|event| event.key == BAD);
            while !world.flying.is_empty() {
                world.land(|events, _| if is_bad(events) { again() } else { Outcome::Taken });
            }
        }
        let left: Vec<u64> = world.open().map(|event| event.key).collect();
        assert_eq!(left, [BAD], "{what}");
        let due = world.session.next_attempt().unwrap();
        assert!(due > world.now.plus_millis(HOUR_MS / 2), "{what}: {due} after {}", world.now);
        world.finish(|_| false);
    }
}

#[test]
fn a_key_that_never_failed_begins_its_schedule_after_a_restart() {
    let schedule = Schedule::new([1, 3_600].map(Duration::from_secs).to_vec()).unwrap();
    let mut world = World::new(1, Rules { schedule, ..rules(1, Some(4)) });
    world.published.push(Event { offset: 1, key: BAD });
    for _ in 0..2 {
        world.deliver(100);
        world.land(|_, _| again());
        world.pass(2_000);
    }
    assert!(world.stored.failing.is_some_and(|failing| failing.failures == 2));
    // While the server is down the bad one is hidden: the first that is sent then is another.
    world.given = None;
    world.hide(BAD);
    world.restart();
    world.published.push(Event { offset: 2, key: 7 });
    world.deliver(100);
    let (&batch, _) = world.flying.first_key_value().unwrap();
    assert_eq!(world.session.batch(batch).unwrap().failures, 0);
}

#[test]
fn lanes_that_all_wait_and_have_no_room_rest_until_the_first_is_tried_or_the_settings_make_room() {
    let pauses = vec![Duration::from_secs(600)];
    let rules =
        Rules { max_apart: 10, schedule: Schedule::new(pauses).unwrap(), ..rules(1, Some(4)) };
    let mut world = World::new(2, rules);
    world.published.extend((1..=40).map(|offset| Event { offset, key: BAD }));
    world.deliver_all();
    world.land(|_, _| again());
    for _ in 0..400 {
        world.pass(1_000);
        world.deliver_all();
    }
    assert_eq!((world.joins, world.given.is_none()), (1, true), "it comes and goes");
    world.rules.max_apart = 100;
    world.tell(Input::Changed(world.rules.clone()));
    sends_another_key_within(&mut world, 1, "room for more");
    world.finish(|_| false);
}

#[test]
fn a_batch_that_finds_an_endpoint_closed_stays_one_message_until_it_has_failed_three_times() {
    for status in [502, 503, 504] {
        let mut world = World::new(3, rules(10, Some(4)));
        world.published.extend((1..=20).map(|offset| Event { offset, key: offset }));
        let closed = || Outcome::Again { failure: Failure::Status(status), wish: Wish::default() };
        for _ in 0..2 {
            world.deliver_all();
            let mut sent: Vec<usize> = world.flying.values().map(Vec::len).collect();
            sent.sort_unstable();
            assert_eq!(sent, [10, 10], "{status}");
            while !world.flying.is_empty() {
                world.land(|_, _| closed());
            }
            world.pass(4_000);
        }
        assert_eq!(world.sends, 6, "{status}: the same two, a third time");
        while !world.flying.is_empty() {
            world.land(|_, _| closed());
        }
        // One that is never taken might be the cause: it holds up its own key only from now on.
        let mut keys = BTreeSet::new();
        for _ in 0..40 {
            world.pass(2_000);
            world.land(|events, _| {
                assert_eq!(events.len(), 1, "{status}");
                keys.extend(events.iter().map(|event| event.key));
                if events[0].key == BAD { closed() } else { Outcome::Taken }
            });
        }
        assert_eq!((keys.len(), world.open().count()), (20, 1), "{status}");
    }
}

const DAY_MS: i64 = 24 * HOUR_MS;

#[test]
fn a_key_that_is_never_taken_beside_others_is_told_of_once() {
    let mut world = beside_one_that_waits(40);
    let began = world.now;
    let is_bad = |events: &[Event]| events.iter().any(|event| event.key == BAD);
    for day in 0..80 {
        world.published.push(Event { offset: 2 + day, key: 7 });
        world.deliver(100);
        while !world.flying.is_empty() {
            world.land(|events, _| if is_bad(events) { again() } else { Outcome::Taken });
        }
        world.pass(DAY_MS);
    }
    // As long as the first alert of an endpoint takes that only fails: half of 90 days.
    let [(at, stuck)] = world.stuck[..] else { panic!("told {:?}", world.stuck) };
    let told = (at.millis() - began.millis()) / DAY_MS;
    assert_eq!((stuck.keys, stuck.first, stuck.since, told), (1, Offset::new(1), began, 45));
    assert!((40..50).contains(&stuck.failures), "{stuck:?}");
    assert!(world.alerts.is_empty(), "the endpoint does not fail: {:?}", world.alerts);
}

#[test]
fn an_endpoint_that_only_fails_is_not_told_of_by_its_keys_as_well() {
    let mut world = beside_one_that_waits(41);
    for _ in 0..80 {
        world.deliver(100);
        while !world.flying.is_empty() {
            world.land(|_, _| again());
        }
        world.pass(DAY_MS);
    }
    assert_eq!((&world.alerts[..], &world.stuck[..]), (&[50, 70][..], &[][..]));
}
