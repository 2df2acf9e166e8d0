//! What is stored of a place against a plain set.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

const BASE: u64 = 3 * CHUNK - 40;
const ME: SubscriptionId = SubscriptionId(7);
const STREAM: StreamId = StreamId(9);

fn reload(state: &BTreeMap<Bytes, Bytes>) -> Place {
    let mut place = Place::at(Offset::new(BASE));
    for (key, value) in state {
        let (of, stream, chunk) = parse_key(key).unwrap();
        assert_eq!((of, stream), (ME, STREAM));
        place.load(chunk, value).unwrap();
    }
    place
}

/// Writes the place into `state`; `None`: the write fails.
fn store(place: &mut Place, state: Option<&mut BTreeMap<Bytes, Bytes>>) {
    let mut ops = Vec::new();
    place.write(ME, STREAM, &mut ops);
    let Some(state) = state else { return place.doubt() };
    for op in ops {
        let Op::Put(put) = op else { panic!("{op:?}") };
        match put.value {
            Some(value) => state.insert(put.key, value),
            None => state.remove(&put.key),
        };
    }
    place.turn_page();
    place.turn_page();
}

proptest! {
    /// What is stored is what was done, however it was done and undone.
    #[test]
    fn a_stored_place_reads_back(steps in prop::collection::vec((0..400_u64, 0..8_u8), 1..300)) {
        let mut place = Place::at(Offset::new(BASE));
        let (mut model, mut state) = (BTreeSet::new(), BTreeMap::new());
        let mut acked = BTreeSet::new();
        // What failed to be stored is above what was stored: only that is ever undone.
        let mut stored_floor = Offset::ZERO;
        for (at, what) in steps {
            // Spread over several chunks, some dense.
            let offset = BASE + if at % 3 == 0 { at * 40 } else { at };
            match what {
                0 if offset < stored_floor.get() => {}
                0 => {
                    place.reopen(Offset::new(offset));
                    model.remove(&offset);
                    acked.remove(&offset);
                }
                1 => {
                    let end = offset + at % 90;
                    place.pass(Offset::new(offset), Offset::new(end));
                    model.extend(offset..end);
                }
                _ => {
                    place.ack(Offset::new(offset));
                    model.insert(offset);
                    acked.insert(offset);
                }
            }
            if what % 2 == 0 {
                let fails = what == 6;
                store(&mut place, if fails { None } else { Some(&mut state) });
                if !fails {
                    stored_floor = place.floor();
                }
            }
        }
        // Whatever failed, an answer is stored with the next write.
        store(&mut place, Some(&mut state));
        let loaded = reload(&state);
        for &offset in &acked {
            prop_assert!(loaded.is_done(Offset::new(offset)), "acked {}", offset);
            prop_assert!(place.is_durable(Offset::new(offset)), "acked {}", offset);
        }
        // What was passed over without a write is written with its chunk only.
        place.dirty.extend(BASE / CHUNK..BASE / CHUNK + 8);
        store(&mut place, Some(&mut state));
        let loaded = reload(&state);
        for offset in BASE..BASE + 20_000 {
            prop_assert_eq!(place.is_done(Offset::new(offset)), model.contains(&offset), "{}", offset);
            prop_assert_eq!(loaded.is_done(Offset::new(offset)), model.contains(&offset), "stored {}", offset);
        }
        let end = BASE + 20_000;
        prop_assert_eq!(place.open_before(Offset::new(end)), 20_000 - model.len() as u64);
        prop_assert!(state.len() <= 8);
    }

    /// What is to be done again is stored as well, however far back, in few entries; what was done in
    /// between stays so.
    #[test]
    fn what_is_to_be_done_again_reads_back(
        steps in prop::collection::vec((0..40 * CHUNK, 0..6_u8, prop::bool::weighted(0.2)), 1..60),
    ) {
        let mut place = Place::at(Offset::new(BASE));
        let mut state = BTreeMap::new();
        for (at, what, fails) in steps {
            let offset = Offset::new(BASE + at);
            match what {
                0 | 1 => place.reopen(offset),
                2 => place.raise(offset),
                _ => place.ack(offset),
            }
            if what % 2 == 0 {
                store(&mut place, if fails { None } else { Some(&mut state) });
            }
        }
        store(&mut place, Some(&mut state));
        let loaded = reload(&state);
        prop_assert_eq!((loaded.floor, &loaded.done), (place.floor, &place.done));
        prop_assert_eq!(loaded.above, place.above);
        for (&start, &end) in &place.done {
            for offset in [start, start.midpoint(end), end - 1] {
                prop_assert!(place.is_durable(Offset::new(offset)), "{}", offset);
            }
        }
        prop_assert!(state.len() <= 42);
    }
}

proptest! {
    /// A place that is moved back keeps what is done before, in few entries.
    #[test]
    fn a_place_that_is_moved_back_keeps_what_is_done_before(
        steps in prop::collection::vec((0..40 * CHUNK, 0..4 * CHUNK), 1..30), start in 0..44 * CHUNK,
    ) {
        let mut place = Place::at(Offset::new(BASE));
        for (at, count) in steps {
            place.pass(Offset::new(BASE + at), Offset::new(BASE + at + count));
        }
        let start = Offset::new(BASE + start);
        let (mut back, mut state) = (place.back_to(start), BTreeMap::new());
        back.unwrite();
        store(&mut back, Some(&mut state));
        prop_assert!(state.len() <= 50);
        let loaded = reload(&state);
        prop_assert_eq!((loaded.floor, &loaded.done), (back.floor, &back.done));
        prop_assert_eq!(loaded.above, back.above);
        let ends = place.done.iter().flat_map(|(&from, &to)| [from, to]);
        let edges = ends.chain([place.floor, start.get()]).flat_map(|at| [at - 1, at, at + 1]);
        for offset in edges.map(Offset::new) {
            let expected = offset < start && place.is_done(offset);
            prop_assert_eq!(back.is_done(offset), expected, "{}", offset);
        }
    }
}

#[test]
fn one_event_far_back_is_stored_in_a_few_entries() {
    let (far, end) = (Offset::new(BASE + 7), Offset::new(BASE + 1_000_000_000));
    let (mut place, mut state) = (Place::at(Offset::new(BASE)), BTreeMap::new());
    place.raise(end);
    store(&mut place, Some(&mut state));
    place.reopen(far);
    store(&mut place, Some(&mut state));
    assert!(state.len() <= 4, "{} entries", state.len());
    let mut loaded = reload(&state);
    assert_eq!((loaded.floor(), loaded.first_open(far.next())), (far, end));
    assert_eq!(loaded.open_before(end), 1);
    // Done again, nothing is left but the floor and the chunk that it is in.
    loaded.ack(far);
    store(&mut loaded, Some(&mut state));
    assert_eq!((loaded.floor(), state.len()), (end, 2));
}
