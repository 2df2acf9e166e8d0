//! Sessions with lanes by key in what may happen to an endpoint, one thing at a time.

use outflow_face_webhook::outcome::{Failure, Outcome};
use outflow_face_webhook::schedule::Wish;
use outflow_face_webhook::session::Input;

use crate::session_model::{Event, World, again, rules};

#[test]
fn other_keys_go_on_while_a_request_is_under_way_when_what_may_be_sent_is_changed() {
    let mut world = World::new(19, rules(1, Some(2)));
    let keys = [1, 2, 1, 2, 3, 3];
    world.published.extend((1..).zip(keys).map(|(offset, key)| Event { offset, key }));
    world.deliver(100);
    let flying = |world: &World| -> Vec<u64> {
        let mut all: Vec<u64> = world.flying.values().flatten().map(|one| one.offset).collect();
        all.sort_unstable();
        all
    };
    assert_eq!(flying(&world), [1, 2]);
    world.entitle();
    world.deliver(100);
    // The request of the first key does not end.
    for expected in [4, 5, 6] {
        let is_other = |events: &[Event]| events.iter().all(|event| event.key != 1);
        let other = world.flying.iter().find(|(_, events)| is_other(events)).map(|(id, _)| *id);
        let other = other.unwrap();
        world.flying.remove(&other);
        world.tell(Input::Ended(other, Outcome::Taken));
        world.deliver(100);
        assert_eq!(flying(&world), [1, expected]);
    }
    assert_eq!(world.joins, 1, "it stays a consumer");
    // It fails, and what it had comes again before what stands behind it.
    world.finish(|_| false);
}

#[test]
fn an_endpoint_with_lanes_that_is_down_is_sent_the_same_batch_again() {
    let down = |status| Outcome::Again { failure: Failure::Status(status), wish: Wish::default() };
    for (status, is_apart) in [(502, false), (503, false), (504, false), (500, true), (507, true)] {
        let mut world = World::new(20, rules(10, Some(4)));
        world.published.extend((1..=10).map(|offset| Event { offset, key: offset }));
        world.deliver(100);
        for failures in 1..=2 {
            assert_eq!(world.flying.len(), 1, "{status}: attempt {failures}");
            world.land(|_, _| down(status));
            world.pass(4_000);
            world.deliver(100);
            if is_apart {
                break;
            }
        }
        let counts: Vec<usize> = world.flying.values().map(Vec::len).collect();
        assert_eq!(counts, if is_apart { vec![1; 4] } else { vec![10] }, "{status}");
        world.finish(|_| false);
    }
}

#[test]
fn a_key_of_which_nothing_is_left_in_a_batch_that_is_taken_apart_goes_on() {
    let mut world = World::new(21, rules(5, Some(2)));
    world.published.extend([(1, 1), (2, 2), (3, 3)].map(|(offset, key)| Event { offset, key }));
    world.deliver(100);
    world.pass(1_000);
    // It was under way, and comes again, when the first of its keys is hidden.
    world.land(|_, _| Outcome::Again { failure: Failure::Status(503), wish: Wish::default() });
    world.entitle();
    world.hide(1);
    world.pass(2_000);
    world.deliver(100);
    world.published.extend([4, 5].map(|offset| Event { offset, key: 1 }));
    world.deliver(100);
    world.land(|_, _| again());
    world.finish(|_| false);
}
