//! The test server's data: the lives of made-up devices, as the events of Airship's real-time
//! stream (reference `airship.md` 2 and 3), from a seed.
//!
//! Called by the binary's `dev` command and by tests; calls `model` for times and random numbers.
//!
//! Each device is a state machine ([lifecycle]): it is installed, opened, used, closed, removed.
//! Pushes tie devices together: a `PUSH_BODY` is followed by `SEND`s with its `push_id`, and an
//! `OPEN` may name the `SEND` that its device got as its `triggering_push`.
//!
//! Smaller sources stand beside it, for the other faces: [`HashedAddresses`], [`Notices`] and
//! [`Billing`].
//!
//! Invariants: the same seed and clock give the same bytes; each event is one line of valid JSON
//! without an offset (the server's to give); memory is constant: [`DEVICES`] devices live at once.

mod billing;
mod device;
mod envelope;
mod hashed;
mod json;
mod kind;
mod lifecycle;
mod luck;
mod notice;
mod push;
mod types;
mod words;

use std::sync::Arc;

use outflow_model::Clock;

pub use crate::billing::{BILLING_TYPES, Billing, BillingType};
pub use crate::hashed::HashedAddresses;
pub use crate::kind::EVENT_TYPES;
pub use crate::notice::{Notices, TOPICS, Topic};

use crate::device::{Device, Stage};
use crate::json::Json;
use crate::kind::Kind;
use crate::luck::Luck;
use crate::push::Push;
use crate::types::Scene;

/// How many devices live at once.
pub const DEVICES: usize = 500;

/// Of 100 events, how many begin a push.
const PUSHES: usize = 4;

/// An endless source of events.
#[derive(Debug)]
pub struct Generator {
    luck: Luck,
    clock: Arc<dyn Clock>,
    devices: Vec<Device>,
    push: Push,
    /// How many devices are still to be sent `push`.
    sends: usize,
    json: Json,
    made: u64,
}

impl Generator {
    /// A source that draws from `seed` and takes the time of each event from `clock`.
    #[must_use]
    pub fn new(seed: u64, clock: Arc<dyn Clock>) -> Self {
        let luck = Luck::new(seed);
        let push = Push::new(&luck, clock.now());
        let devices = (0..DEVICES).map(|_| Device::new(&luck)).collect();
        Self { luck, clock, devices, push, sends: 0, json: Json::default(), made: 0 }
    }

    /// The next event as a publisher would send it: one JSON object with `id`, `type`, `occurred`
    /// and, as its type has them, `device`, `user` and `body`. It stands until the next call.
    pub fn next_event(&mut self) -> &str {
        let at = self.luck.below(self.devices.len());
        let now = self.clock.now();
        let draw = self.luck.below(100);
        // A push must exist before anything can refer to it, so it is the first event of all.
        let begins_push = self.made == 0 || (self.sends == 0 && draw < PUSHES);
        self.made += 1;
        if begins_push {
            self.push = Push::new(&self.luck, now);
            self.sends = 1 + self.luck.below(4);
        }
        let Self { luck, devices, push, sends, json, .. } = self;
        let Some(device) = devices.get_mut(at) else { return "" };
        let kind = if begins_push {
            Kind::PushBody
        } else if *sends > 0 && draw < 40 && device.is_reachable() {
            *sends -= 1;
            Kind::Send
        } else if draw == 99 {
            Kind::LabelEvent
        } else {
            device.step(luck)
        };
        if kind == Kind::Send {
            push.time = now;
            device.sent = Some(*push);
        }
        let scene = Scene { luck, now, push };
        envelope::write(kind, json, &scene, device);
        if device.stage == Stage::Gone {
            *device = Device::new(luck);
        }
        json.as_str()
    }
}
