//! Sessions in what may happen to an endpoint, one thing at a time; `session_model` is all of it at
//! random.

use std::collections::BTreeSet;
use std::time::Duration;

use outflow_face_webhook::outcome::{Failure, Outcome};
use outflow_face_webhook::schedule::{Schedule, Wish};
use outflow_face_webhook::session::{Disabled, Input, Note, Output, Rules, Session};
use outflow_face_webhook::wire::BatchSize;
use outflow_model::Timestamp;
use outflow_model::rng::SeededRng;

use crate::session_model::{Event, World, again, rules};

const MINUTE_MS: i64 = 60_000;

#[test]
fn an_endpoint_that_waits_long_takes_nothing_and_comes_back_by_itself() {
    let mut world = World::new(1, rules(5, None));
    world.publish(12);
    world.deliver(100);
    for _ in 0..3 {
        world.land(|_, _| again());
        world.pass(4_000);
        world.deliver(100);
    }
    // The pause is a minute now.
    assert_eq!((world.given.is_none(), world.flying.len()), (true, 0));
    let next = world.session.next_attempt().unwrap();
    assert!(next > world.now.plus_millis(MINUTE_MS / 2), "{next} is not after {}", world.now);
    assert_eq!(world.stored.failing.unwrap().failures, 3);
    world.restart();
    assert!(world.given.is_none(), "a restart does not bring it forward");
    world.pass(2 * MINUTE_MS);
    assert!(world.given.is_some());
    world.finish(|_| false);
    assert_eq!(world.session.note().failing, None);
}

/// Of thousands of keys that all fail, each attempt costs about what it costs with few.
/// How long this thread has run, which other work on the machine does not lengthen.
fn on_cpu() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(told.split(' ').next().unwrap().parse().unwrap())
}

#[test]
fn what_an_attempt_costs_does_not_grow_with_the_keys_that_have_failed() {
    let took = |keys: u64| {
        let pauses = vec![Duration::from_secs(3_600)];
        let rules = Rules {
            max_apart: 100_000,
            schedule: Schedule::new(pauses).unwrap(),
            ..rules(1, Some(1))
        };
        let (rng, now) = (SeededRng::new(1), Timestamp::from_millis(1_000_000));
        let mut session = Session::new(rules, Note::default());
        session.apply(Input::Due, now, &rng);
        let events = (1..=keys).map(|key| Event { offset: key, key }).collect();
        let begun = on_cpu();
        let mut outputs = session.apply(Input::Arrived(events), now, &rng);
        let mut failed = 0;
        while let Some(Output::Send { batch, .. }) =
            outputs.into_iter().find(|output| matches!(output, Output::Send { .. }))
        {
            failed += 1;
            outputs = session.apply(Input::Ended(batch, again()), now, &rng);
        }
        assert_eq!((failed, session.credit() > 0), (keys, true));
        on_cpu() - begun
    };
    let shortest = |keys: u64| (0..3).map(|_| took(keys)).min().unwrap();
    let (few, many) = (shortest(4_000), shortest(64_000));
    // By the square it would be 256 times as long.
    assert!(many < few * 80, "{few:?} for 4,000 keys, {many:?} for 64,000");
}

#[test]
fn one_that_only_fails_is_disabled_in_time_and_a_pause_is_no_failure() {
    let day = 24 * 60 * MINUTE_MS;
    let disable_after = Duration::from_secs(24 * 3_600);
    let mut world = World::new(3, Rules { disable_after, ..rules(1, None) });
    world.publish(3);
    world.deliver(100);
    world.land(|_, _| again());
    // It is paused for longer than it may fail.
    let paused = Rules { is_paused: true, ..world.rules.clone() };
    world.tell(Input::Changed(paused));
    world.pass(100 * day);
    assert_eq!((world.session.next_due(), world.session.note().disabled), (None, None));
    world.tell(Input::Changed(world.rules.clone()));
    world.tell(Input::Resumed);
    world.deliver(100);
    world.land(|_, _| again());
    assert!(world.session.is_open(), "the time begins anew");
    // Now it does nothing but fail.
    for _ in 0..3_000 {
        if !world.session.is_open() {
            break;
        }
        let due = world.session.next_due().expect("it tries again");
        let millis = (due.millis() - world.now.millis()).max(1);
        world.pass(millis);
        world.deliver(100);
        world.land(|_, _| again());
    }
    assert_eq!(world.stored.disabled.unwrap().0, Disabled::Failing);
    let failing = world.stored.failing.unwrap();
    let allowed = world.now.millis() - failing.since.millis();
    assert!((day..day + 5 * MINUTE_MS).contains(&allowed), "{allowed}");
    assert_eq!(world.alerts, [50, 70, 90, 100]);
    assert_eq!(world.session.next_due(), None);
}

#[test]
fn one_that_is_gone_is_disabled_and_resumes_where_it_was() {
    let mut world = World::new(2, rules(1, None));
    world.publish(3);
    world.deliver(100);
    world.land(|_, _| Outcome::Gone);
    assert!(!world.session.is_open() && world.given.is_none());
    assert!(world.stored.disabled.is_some());
    world.restart();
    world.pass(MINUTE_MS * 1_000);
    assert!(!world.session.is_open(), "time changes nothing");
    world.tell(Input::Resumed);
    assert!(world.stored.disabled.is_none());
    world.finish(|_| false);
}

#[test]
fn a_batch_at_hand_stays_what_it_is_when_the_size_of_batches_is_changed() {
    for (before, after) in [(10, 1), (10, 5), (1, 10)] {
        for kill in [false, true] {
            let mut world = World::new(1, rules(before, None));
            world.publish(before);
            world.deliver(100);
            assert_eq!(world.flying.len(), 1);
            world.publish(20);
            world.rules.size = BatchSize::new(after).unwrap();
            world.tell(Input::Changed(world.rules.clone()));
            if kill {
                world.restart();
                assert_eq!(world.flying.len(), 1, "the same again");
            } else {
                world.land(|_, _| again());
            }
            world.finish(|_| false);
        }
    }
}

#[test]
fn what_a_filter_has_left_of_a_batch_at_hand_is_sent_without_anything_new() {
    let mut world = World::new(4, rules(5, None));
    world.publish(5);
    let last = world.published[4].key;
    world.deliver(100);
    for _ in 0..3 {
        world.land(|_, _| again());
        world.pass(4_000);
        world.deliver(100);
    }
    assert!(world.given.is_none(), "it waits for a minute");
    world.hide(last);
    let left = world.open().count();
    assert!((1..5).contains(&left), "{left} of 5: the last is not among them");
    world.finish(|_| false);
}

#[test]
fn one_answer_does_not_disable_an_endpoint_that_is_sent_nothing_more() {
    let disable_after = Duration::from_secs(24 * 3_600);
    let mut world = World::new(5, Rules { disable_after, ..rules(1, None) });
    world.publish(1);
    world.deliver(100);
    world.land(|_, _| Outcome::Refused { status: 400 });
    world.pass(10 * 24 * 60 * MINUTE_MS);
    world.tell(Input::Due);
    assert!(world.session.is_open() && world.alerts.is_empty(), "{:?}", world.alerts);
    world.publish(1);
    world.deliver(100);
    world.land(|_, _| Outcome::Taken);
    assert_eq!(world.session.note().failing, None);
}

#[test]
fn two_refusals_far_apart_disable_nothing_and_one_after_another_do() {
    let disable_after = Duration::from_secs(60);
    let mut world = World::new(12, Rules { disable_after, ..rules(1, None) });
    let refuse = |world: &mut World| {
        world.publish(1);
        world.deliver(100);
        world.land(|_, _| Outcome::Refused { status: 400 });
    };
    for _ in 0..3 {
        refuse(&mut world);
        world.pass(63_000);
        world.tell(Input::Due);
    }
    assert!(world.session.is_open() && world.alerts.is_empty(), "{:?}", world.alerts);
    // Nothing but refusals, one a second.
    for _ in 0..60 {
        refuse(&mut world);
        world.pass(1_000);
    }
    assert!(!world.session.is_open());
    assert_eq!(world.alerts, [50, 70, 90, 100]);
}

#[test]
fn two_refusals_far_apart_disable_nothing_with_a_restart_between_either() {
    let disable_after = Duration::from_secs(60);
    let mut world = World::new(15, Rules { disable_after, ..rules(1, None) });
    for _ in 0..4 {
        // More than one at a time: the last of them counts.
        world.publish(3);
        for _ in 0..3 {
            world.deliver(100);
            world.land(|_, _| Outcome::Refused { status: 400 });
        }
        world.now = world.now.plus_millis(63_000);
        world.restart();
    }
    assert!(world.session.is_open() && world.alerts.is_empty(), "{:?}", world.alerts);
    // Nothing but refusals, one a second, whatever restarts there are.
    for second in 0..60 {
        world.publish(1);
        world.deliver(100);
        world.land(|_, _| Outcome::Refused { status: 400 });
        world.pass(1_000);
        if second % 7 == 0 {
            world.restart();
        }
    }
    assert!(!world.session.is_open(), "{:?}", world.alerts);
}

#[test]
fn a_clock_that_was_set_back_while_the_server_was_down_makes_no_pause_longer() {
    let mut world = World::new(16, Rules { schedule: Schedule::default(), ..rules(1, None) });
    world.publish(1);
    world.deliver(100);
    world.land(|_, _| again());
    let next = world.stored.next_attempt.unwrap();
    let pause = next.millis() - world.now.millis();
    assert!((4_000..=6_000).contains(&pause), "{pause} ms");
    let back = world.now.plus_millis(-3_600_000);
    let within = world.stored.clone().within(back, &world.rules);
    assert_eq!(within.next_attempt, Some(back.plus_millis(pause)));
    // What an endpoint wished for is not cut where the clock is right.
    world.pass(pause + 1);
    world.deliver(100);
    let wish = Wish { is_throttled: true, retry_after: Some(Duration::from_secs(3_000)) };
    world.land(|_, _| Outcome::Again { failure: Failure::Status(429), wish });
    let wished = world.stored.clone();
    let soon = world.now.plus_millis(1_000);
    assert_eq!(wished.clone().within(soon, &world.rules).next_attempt, wished.next_attempt);
}

#[test]
fn a_batch_at_hand_that_is_hidden_altogether_is_no_failure_any_more() {
    for (lanes, restarts) in [(None, false), (None, true), (Some(2), false), (Some(2), true)] {
        let disable_after = Duration::from_secs(600);
        let mut world = World::new(17, Rules { disable_after, ..rules(5, lanes) });
        world.published.extend((1..=5).map(|offset| Event { offset, key: 1 }));
        world.deliver(100);
        world.land(|_, _| again());
        world.entitle();
        world.hide(1);
        if restarts {
            world.restart();
        }
        world.pass(1_500);
        assert!(world.session.note().failing.is_some());
        for _ in 0..40 {
            world.pass(1_000);
        }
        let note = world.session.note();
        assert_eq!((note, world.stored.failing), (Note::default(), None), "{lanes:?} {restarts}");
        assert_eq!(world.session.next_due(), None);
        // The next failure is the first.
        world.pass(3_600_000);
        world.published.push(Event { offset: 9, key: 2 });
        world.deliver(100);
        world.pass(1_000);
        world.land(|_, _| again());
        assert_eq!((world.session.is_open(), &world.alerts[..]), (true, &[][..]));
        world.finish(|_| false);
    }
}

#[test]
fn a_key_that_makes_an_endpoint_fail_holds_up_the_others_of_its_batch_for_the_first_pause_only() {
    let schedule = Schedule::default();
    let mut world = World::new(18, Rules { schedule, ..rules(10, Some(4)) });
    world.published.extend((1..=10).map(|offset| Event { offset, key: offset }));
    let bad = |events: &[Event]| events.iter().any(|event| event.key == 3);
    world.deliver(100);
    assert_eq!(world.flying.len(), 1, "all in one");
    for _ in 0..30 {
        world.land(|events, _| if bad(events) { again() } else { Outcome::Taken });
        world.pass(400);
        world.deliver(100);
    }
    let left: Vec<u64> = world.open().map(|event| event.key).collect();
    assert_eq!(left, [3], "after twelve seconds");
    // It has a schedule of its own, from its beginning.
    let next = world.session.next_attempt().unwrap();
    assert!(next <= world.now.plus_millis(360_000), "{next} after {}", world.now);
    world.finish(|_| false);
}

#[test]
fn what_is_resumed_or_sent_elsewhere_begins_its_schedule_anew() {
    let minute = Schedule::new(vec![Duration::from_secs(1), Duration::from_secs(3)]).unwrap();
    let inputs = [
        Input::Resumed,
        Input::Redirected,
        Input::Changed(Rules { schedule: minute, ..rules(5, None) }),
    ];
    for input in inputs {
        let mut world = World::new(13, rules(5, None));
        world.publish(5);
        world.deliver(100);
        for _ in 0..3 {
            world.land(|_, _| again());
            world.pass(4_000);
            world.deliver(100);
        }
        assert_eq!(world.stored.failing.unwrap().failures, 3);
        assert!(world.given.is_none() && world.flying.is_empty(), "it waits for a minute");
        if let Input::Changed(rules) = &input {
            world.rules = rules.clone();
        }
        world.tell(input);
        assert_eq!((world.stored.failing, world.stored.next_attempt), (None, None));
        world.deliver(100);
        assert_eq!(world.flying.len(), 1, "at once");
        // The first pause of the schedule, and not the third one.
        world.land(|_, _| again());
        let next = world.session.next_attempt().unwrap();
        assert!(next <= world.now.plus_millis(1_200), "{next} after {}", world.now);
        world.finish(|_| false);
    }
}

#[test]
fn of_a_batch_of_many_keys_that_is_refused_only_the_key_that_is_refused_alone_is_parked() {
    for lanes in [1, 4] {
        let mut world = World::new(14, rules(10, Some(lanes)));
        world.published.extend((1..=10).map(|offset| Event { offset, key: offset % 5 }));
        world.deliver(100);
        let bad = |events: &[Event]| events.iter().any(|event| event.offset == 3);
        for _ in 0..20 {
            world.land(
                |events, _| {
                    if bad(events) { Outcome::Refused { status: 400 } } else { Outcome::Taken }
                },
            );
            world.deliver(100);
        }
        assert_eq!(world.parked, BTreeSet::from([3, 8]), "its key's part of the batch");
        assert_eq!((world.open().count(), world.session.note().failing), (0, None));
    }
}

#[test]
fn one_that_failed_is_tried_after_the_server_was_down_before_it_is_disabled() {
    let disable_after = Duration::from_secs(24 * 3_600);
    let mut world = World::new(6, Rules { disable_after, ..rules(1, None) });
    world.publish(1);
    for _ in 0..4 {
        world.deliver(100);
        world.land(|_, _| again());
        world.pass(4_000);
    }
    world.now = world.now.plus_millis(30 * 24 * 60 * MINUTE_MS);
    world.restart();
    assert_eq!(world.flying.len(), 1, "it is tried");
    world.land(|_, _| Outcome::Taken);
    assert_eq!((world.session.note(), world.session.is_open()), (Note::default(), true));
}

#[test]
fn what_is_held_is_bounded_in_bytes_and_lanes_that_all_wait_hold_nothing() {
    let rules = Rules { max_held_bytes: 20 * 400, ..rules(1, Some(4)) };
    let mut world = World::new(7, rules);
    world.publish(400);
    // Every key fails, until all that there is room for stands behind them.
    for _ in 0..200 {
        world.deliver(10);
        world.land(|_, _| again());
        let given = world.given.as_ref().map_or(0, BTreeSet::len);
        assert!(given <= 40, "{given} events are held");
        world.pass(1_000);
    }
    let mut away = 0;
    for _ in 0..300 {
        world.pass(1_000);
        world.deliver(10);
        world.land(|_, _| again());
        away += usize::from(world.given.is_none());
    }
    assert!(away > 100, "{away} of 300 s without a consumer");
    assert!(world.given.is_some() || world.session.bytes() == 0);
    world.finish(|_| false);
}

#[test]
fn what_there_is_no_room_for_is_given_back_and_comes_again() {
    let mut world = World::new(8, rules(5, None));
    world.publish(12);
    world.deliver(100);
    assert_eq!((world.given.as_ref().unwrap().len(), world.flying.len()), (10, 1));
    world.tell(Input::Shed);
    assert_eq!(world.given.as_ref().unwrap().len(), 5, "what is under way stays");
    assert_eq!(world.session.credit(), 5);
    world.land(|_, _| Outcome::Taken);
    assert_eq!((world.given.is_none(), world.session.bytes()), (true, 0));
    world.finish(|_| false);
}

#[test]
fn what_waits_for_its_turn_is_not_sent_once_the_endpoint_is_paused() {
    let mut world = World::new(9, rules(5, None));
    world.is_crowded = true;
    world.publish(5);
    world.deliver(100);
    assert_eq!((world.waiting.len(), world.flying.len()), (1, 0));
    let paused = Rules { is_paused: true, ..world.rules.clone() };
    world.tell(Input::Changed(paused));
    world.is_crowded = false;
    world.send_all();
    assert_eq!((world.sends, world.given.is_none()), (0, true));
    assert_eq!(world.session.note().failing, None, "that was no failure");
    world.tell(Input::Changed(world.rules.clone()));
    world.finish(|_| false);
}

#[test]
fn what_was_handed_out_before_what_was_given_back_is_not_sent_before_it() {
    let mut world = World::new(10, rules(1, Some(2)));
    let event = |(offset, key)| Event { offset, key };
    world.published.extend([(1, 1), (2, 2), (3, 1), (4, 2)].map(event));
    world.deliver(100);
    assert_eq!(world.flying.len(), 2);
    world.published.extend([(5, 1), (6, 2)].map(event));
    world.hand_out(100);
    world.tell(Input::Shed);
    world.deliver(100);
    let under_way: Vec<u64> = world.given.iter().flatten().copied().collect();
    assert_eq!(under_way, [1, 2], "the rest goes back");
    // It takes nothing as this consumer, however long the other request lasts.
    world.land(|_, _| Outcome::Taken);
    world.pass(11_000);
    assert_eq!((world.flying.len(), world.session.next_due()), (1, None));
    world.land(|_, _| Outcome::Taken);
    world.finish(|_| false);
}

#[test]
fn one_whose_batch_finds_no_room_for_its_events_does_not_come_and_go_without_end() {
    let mut world = World::new(11, Rules { max_held_bytes: 20 * 356, ..rules(1, Some(4)) });
    // Two keys that fail, and between them more than there is room for.
    let key = |offset| if offset == 41 { 2 } else { 1 };
    world.published.extend((1..=41).map(|offset| Event { offset, key: key(offset) }));
    world.deliver(100);
    assert_eq!(world.flying.len(), 2);
    for _ in 0..3_000 {
        world.pass(100);
        world.deliver(10);
        world.land(|_, _| again());
    }
    assert!(world.joins < 20, "{} times in five minutes", world.joins);
    world.finish(|_| false);
}
