//! Sessions while the hub looks for their events for long, as it does where filters cost much: what is late is not
//! missing.

use outflow_face_webhook::session::Rules;

use crate::session_model::{Event, World, again, rules};

/// An endpoint in order whose first request has these events and is under way.
fn sending(rules: Rules, offsets: &[u64]) -> World {
    let mut world = World::new(30, rules);
    world.published.extend(offsets.iter().map(|offset| Event { offset: *offset, key: 1 }));
    world.deliver(10);
    world.pass(1_000);
    assert_eq!(under_way(&world), offsets);
    world
}

fn under_way(world: &World) -> Vec<u64> {
    world.flying.values().flatten().map(|event| event.offset).collect()
}

/// The hub looks for longer than anything is waited for that is missing.
fn look_for_long(world: &mut World) {
    for _ in 0..20 {
        world.pass(30_000);
        assert!(under_way(world).is_empty(), "what it waits for may still come");
    }
}

#[test]
fn a_batch_that_failed_is_the_same_however_long_the_hub_looks_for_its_events() {
    let mut world = sending(rules(10, None), &[1, 2]);
    world.land(|_, _| again());
    world.published.push(Event { offset: 3, key: 1 });
    world.is_looking = true;
    world.restart();
    look_for_long(&mut world);
    // A part of it comes, and the rest takes as long.
    world.deliver(1);
    look_for_long(&mut world);
    world.deliver(10);
    assert_eq!(under_way(&world), [1, 2]);
    world.finish(|_| false);
}

/// It was not noted.
#[test]
fn a_full_batch_is_cut_again_as_it_was_however_long_the_hub_looks_for_its_events() {
    let mut world = sending(rules(5, None), &[1, 2, 3, 4, 5]);
    assert!(world.stored.at_hand.is_empty());
    world.is_looking = true;
    world.restart();
    world.deliver(2);
    look_for_long(&mut world);
    world.deliver(10);
    assert_eq!(under_way(&world), [1, 2, 3, 4, 5]);
    world.land(|_, _| outflow_face_webhook::outcome::Outcome::Taken);
    // From then on nothing waits longer than it may.
    world.published.push(Event { offset: 6, key: 1 });
    world.deliver(10);
    world.pass(1_000);
    assert_eq!(under_way(&world), [6]);
    world.finish(|_| false);
}

#[test]
fn what_is_gone_is_given_up_once_the_hub_has_looked() {
    const GONE: u64 = 9;
    for left in [vec![], vec![1]] {
        let mut world = sending(rules(10, None), &[1, 2]);
        world.land(|_, _| again());
        world.is_looking = true;
        world.restart();
        for event in world.published.iter_mut().skip(left.len()) {
            event.key = GONE;
        }
        world.hide(GONE);
        look_for_long(&mut world);
        world.is_looking = false;
        for _ in 0..20 {
            world.pass(3_000);
        }
        assert_eq!(under_way(&world), left);
        let is_well = world.session.note().failing.is_none();
        assert_eq!(is_well, left.is_empty(), "all that failed is no more");
    }
}
