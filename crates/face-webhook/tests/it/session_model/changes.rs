//! What is changed of an endpoint in the model: its settings, what may be sent, where its place is.

use std::collections::BTreeSet;

use outflow_face_webhook::session::Input;
use outflow_face_webhook::wire::BatchSize;
use outflow_model::{Offset, Rng as _};

use super::{World, outcome};

impl World {
    /// What has come back and may not be sent any more is passed over.
    pub(super) fn pass_forbidden(&mut self) {
        let held = self.given.clone().unwrap_or_default();
        let open: BTreeSet<u64> = self.open().map(|event| event.offset).collect();
        let hidden = self.forbidden.iter().filter(|one| open.contains(one) && !held.contains(one));
        let hidden: Vec<u64> = hidden.copied().collect();
        self.passed.extend(&hidden);
        self.settled.extend(hidden);
        self.forget_settled();
    }

    /// What there is of a key may not be sent any more.
    pub(super) fn forbid(&mut self, key: u64) {
        let of_key: Vec<u64> =
            self.open().filter(|event| event.key == key).map(|event| event.offset).collect();
        self.forbidden.extend(of_key);
    }

    /// What may be sent is looked at again, also what waits for its turn.
    pub(crate) fn entitle(&mut self) {
        // The hub takes back what has not arrived.
        if let Some(given) = &mut self.given {
            assert!(self.on_way.drain(..).all(|event| given.remove(&event.offset)));
        }
        let unsent = self.waiting.drain(..).map(|(batch, _)| batch).collect();
        self.tell(Input::Entitled(unsent));
    }

    /// The filter hides a key now: what of it is not in the consumer's hands is passed over.
    pub(crate) fn hide(&mut self, key: u64) {
        let held = self.given.clone().unwrap_or_default();
        let hidden: Vec<u64> = self
            .open()
            .filter(|event| event.key == key && !held.contains(&event.offset))
            .map(|event| event.offset)
            .collect();
        self.passed.extend(&hidden);
        self.settled.extend(hidden);
        self.forget_settled();
    }

    /// Somebody sets another size, other bytes, or a filter that hides one key of what is there.
    pub(super) fn change(&mut self) {
        let at = self.rng.below(4) as usize;
        self.rules.size = BatchSize::new([1, 5, 10, 15][at]).unwrap();
        self.rules.max_bytes = [150, 450, 1 << 20][self.rng.below(3) as usize];
        if self.rng.below(3) == 0 {
            self.hide(self.rng.below(5));
        }
        self.tell(Input::Changed(self.rules.clone()));
    }

    /// Some of what was refused is to be sent again, or all from somewhere on. The server may be killed
    /// meanwhile.
    pub(super) fn reopen(&mut self) {
        self.tell(Input::Moving);
        assert!(self.given.is_none() && self.waiting.is_empty(), "it holds nothing");
        while self.rng.below(3) == 0 {
            self.land(outcome);
        }
        let rng = &self.rng;
        let from = if self.published.is_empty() || rng.below(3) > 0 {
            let again: Vec<u64> =
                self.parked.iter().copied().filter(|_| rng.below(2) == 0).collect();
            again
                .iter()
                .for_each(|one| assert!(self.parked.remove(one) && self.settled.remove(one)));
            u64::MAX
        } else {
            let at = rng.below(self.published.len() as u64) as usize;
            let from = self.published[at].offset;
            let floor = self.open().next().map_or(from, |first| first.offset.min(from));
            let before = self.settled.clone();
            // What was not sent yet is sent as well, and all behind it.
            self.settled.retain(|one| *one < floor || self.passed.contains(one));
            self.parked.retain(|one| *one < floor);
            self.taken.retain(|one| *one < floor || (*one < from && !before.contains(one)));
            from
        };
        self.first_open = 0;
        self.forget_settled();
        for batch in self.flying.keys() {
            let again = self.again.entry(*batch).or_insert(u64::MAX);
            *again = from.min(*again);
        }
        if self.rng.below(4) == 0 {
            self.restart();
        } else {
            self.tell(Input::Reopened(Offset::new(from)));
        }
    }
}
