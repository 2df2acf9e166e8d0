//! The post: endpoints, what they take of the hub, and the requests under way.
//!
//! A few tasks run one each, with its share of the endpoints; an endpoint has no task of its own. It
//! is a consumer of its subscription while it sends or waits for events, and none while it waits
//! for a time, is paused or disabled: then it costs its settings and a few offsets. What an endpoint
//! does is decided by its [`Session`](crate::session::Session); `turns` says which request goes next,
//! `dispatch` makes it, and `memory` says whose events are too many.
//!
//! Invariants: requests under way, and the bytes of their bodies, are bounded over all, for each project,
//! host and endpoint; so are the bytes of the events that are held; projects take turns, and the
//! endpoints of each; an endpoint that is slow holds up none of another project; what could not be read
//! is tried again.

mod by_hand;
mod cause;
mod dispatch;
mod endpoint;
mod memory;
mod quota;
mod shown;
mod steady;
mod turns;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use outflow_auth::Auth;
use outflow_hub::subscription::{ConsumerId, Delivered};
use outflow_hub::webhook::WebhookId;
use outflow_hub::{Consumers, Delivery, Hub, WebhookAnswer, WebhookError, WebhookStatus};
use outflow_model::{Grant, Offset, Timestamp};
use tokio::sync::{mpsc, oneshot};

use crate::attempt::Transport;
use crate::attempts::Log;
use crate::flight::Landed;
use crate::metrics::Metrics;
use crate::options::Options;
use crate::session::Input;
pub(crate) use by_hand::{Permit, Resend};
use endpoint::Endpoint;
use memory::Memory;
use steady::Steady;
use turns::{Flight, Turns};

/// How many events are taken of the hub at once.
const TAKEN: usize = 1_000;
/// How many requests that have ended are looked at before others are begun.
const AT_ONCE: usize = 64;
/// The longest time without a look at what is due.
const LOOK: Duration = Duration::from_secs(1);
/// After how long what could not be read is read again, in milliseconds.
const AGAIN_MS: i64 = 5_000;
/// How long requests under way are waited for when the server stops.
const LANDING: Duration = Duration::from_secs(5);

/// What a post is asked for.
#[derive(Debug)]
pub(crate) enum Command {
    /// The endpoint was made, changed or removed; `true`: what was disabled begins again.
    Changed(WebhookId, bool),
    /// Its place is about to be moved; answered once it takes nothing.
    Moving(WebhookId, oneshot::Sender<Result<(), WebhookError>>),
    /// Its place was moved.
    Moved(WebhookId),
    /// Events come again that it had done with: all from there on, and others.
    Reopened(WebhookId, Offset),
    Retry(WebhookId, oneshot::Sender<Result<(), WebhookError>>),
    Status(WebhookId, oneshot::Sender<Result<WebhookStatus, WebhookError>>),
    Test(WebhookId, oneshot::Sender<Result<WebhookAnswer, WebhookError>>),
    /// Whether one more request may be sent by hand; it counts as sent.
    ByHand(WebhookId, oneshot::Sender<Result<Permit, WebhookError>>),
    /// A message is sent again.
    Resend(WebhookId, Resend, oneshot::Sender<Result<WebhookAnswer, WebhookError>>),
}

/// What posts share.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) hub: Hub,
    pub(crate) auth: Auth,
    pub(crate) grant: Grant,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) options: Arc<Options>,
    pub(crate) metrics: Metrics,
    pub(crate) log: Log,
}

/// See the module.
pub(crate) struct Post {
    shared: Shared,
    steady: Steady,
    consumers: Consumers,
    /// Whose consumers they are.
    joined: HashMap<ConsumerId, u64>,
    endpoints: HashMap<u64, Endpoint>,
    names: HashMap<WebhookId, u64>,
    next: u64,
    timers: BTreeSet<(Timestamp, u64)>,
    /// Those that could not be taken on, by when that is tried again; `true`: what was disabled begins
    /// again then.
    postponed: HashMap<WebhookId, (Timestamp, bool)>,
    turns: Turns,
    memory: Memory,
    /// What endpoints took and the hub does not know yet: the next requests go before.
    done: Vec<(u64, Vec<Delivery>)>,
    landings: mpsc::UnboundedReceiver<Landed>,
    landed: mpsc::UnboundedSender<Landed>,
    /// The room of requests by hand that have ended: no more than have begun.
    freeing: mpsc::UnboundedReceiver<Flight>,
    freed: mpsc::UnboundedSender<Flight>,
    commands: mpsc::Receiver<Command>,
}

/// Why a post wakes.
enum Woken {
    Delivered(Delivered),
    Landed(Landed),
    Freed(Flight),
    Asked(Command),
    Due,
    Stopping,
}

impl Post {
    pub(crate) fn new(shared: Shared, commands: mpsc::Receiver<Command>) -> Self {
        let consumers = shared.hub.consumers(&shared.grant);
        let (landed, landings) = mpsc::unbounded_channel();
        let (freed, freeing) = mpsc::unbounded_channel();
        let turns = Turns::new(&shared.options);
        let memory = Memory::new(shared.options.max_held_bytes / shared.options.posts.max(1));
        Self {
            steady: Steady::new(shared.hub.clock()),
            shared,
            consumers,
            joined: HashMap::new(),
            endpoints: HashMap::new(),
            names: HashMap::new(),
            next: 0,
            timers: BTreeSet::new(),
            postponed: HashMap::new(),
            turns,
            memory,
            done: Vec::new(),
            landings,
            landed,
            freeing,
            freed,
            commands,
        }
    }

    /// Serves until `stopping` is ready, these endpoints and those that are made.
    pub(crate) async fn run(mut self, first: Vec<WebhookId>, stopping: impl Future<Output = ()>) {
        for id in first {
            self.take_on(&id, false).await;
        }
        let mut stopping = std::pin::pin!(stopping);
        loop {
            self.look_at_timers().await;
            self.take_on_postponed().await;
            self.make_room().await;
            if self.send().await {
                // Requests go out before what others have come to is settled, and before more is taken:
                // their endpoints work meanwhile.
                tokio::task::yield_now().await;
            }
            self.settle_done();
            let pause = self.pause();
            let woken = async {
                tokio::select! {
                    Some(landed) = self.landings.recv() => Woken::Landed(landed),
                    Some(flight) = self.freeing.recv() => Woken::Freed(flight),
                    Some(command) = self.commands.recv() => Woken::Asked(command),
                    delivered = self.consumers.next(TAKEN) => Woken::Delivered(delivered),
                    () = tokio::time::sleep(pause) => Woken::Due,
                }
            };
            // When the server drains, what is under way is settled before the hub takes it back.
            let woken = tokio::select! {
                biased;
                () = &mut stopping => Woken::Stopping,
                woken = woken => woken,
            };
            match woken {
                Woken::Landed(landed) => self.land_all(landed).await,
                Woken::Freed(flight) => self.turns.end_by_hand(flight),
                Woken::Asked(command) => self.answer(command).await,
                Woken::Delivered(Delivered::Events { consumer, events }) => {
                    self.arrive(consumer, events).await;
                }
                Woken::Delivered(Delivered::Closed { consumer: Some(consumer), .. }) => {
                    self.lose(consumer).await;
                }
                Woken::Due => {}
                // The server is going away, or will.
                Woken::Delivered(Delivered::Closed { consumer: None, .. }) | Woken::Stopping => {
                    break;
                }
            }
        }
        self.stop().await;
    }

    /// Requests have ended: those that have by now, so that the next ones begin together.
    async fn land_all(&mut self, first: Landed) {
        self.land(first).await;
        for _ in 1..AT_ONCE {
            let Ok(next) = self.landings.try_recv() else { return };
            self.land(next).await;
        }
    }

    /// Waits for what is under way, so that it need not be sent again.
    async fn stop(mut self) {
        let all = async {
            while self.turns.in_flight() > 0 {
                tokio::select! {
                    Some(landed) = self.landings.recv() => self.land(landed).await,
                    Some(flight) = self.freeing.recv() => self.turns.end_by_hand(flight),
                    else => break,
                }
            }
        };
        let landed = tokio::time::timeout(LANDING, all).await;
        self.settle_done();
        for endpoint in self.endpoints.values_mut() {
            endpoint.tell_last(&self.shared.log);
        }
        if landed.is_err() {
            tracing::info!(
                requests = self.turns.in_flight(),
                "requests to webhooks were cut short; they are made again"
            );
        }
    }

    /// How long nothing is due.
    fn pause(&self) -> Duration {
        let Some((at, _)) = self.timers.first() else { return LOOK };
        let left = at.millis().saturating_sub(self.now().millis());
        Duration::from_millis(u64::try_from(left).unwrap_or(0)).min(LOOK)
    }

    /// What all spans of time are counted by.
    fn now(&self) -> Timestamp {
        self.steady.now()
    }

    /// How many milliseconds the clock's time, which others see, is ahead of that.
    fn ahead(&self) -> i64 {
        self.steady.ahead(self.shared.hub.clock())
    }

    async fn look_at_timers(&mut self) {
        let now = self.now();
        if self.timers.first().is_none_or(|(at, _)| *at > now) {
            return;
        }
        // Each once: what is due again at once is looked at after others had their turn.
        let later = self.timers.split_off(&(now.plus_millis(1), 0));
        for (_, key) in std::mem::replace(&mut self.timers, later) {
            if let Some(endpoint) = self.endpoints.get_mut(&key) {
                endpoint.due = None;
            }
            self.tell_late(key);
            let is_looked_for = self.is_looked_for(key);
            self.tell(key, if is_looked_for { Input::Looking } else { Input::Due }).await;
        }
    }

    /// Whether the hub still looks for what an endpoint waits for.
    fn is_looked_for(&self, key: u64) -> bool {
        let Some(endpoint) = self.endpoints.get(&key) else { return false };
        let looks = |consumer| self.consumers.may_get_more(consumer);
        endpoint.session.is_expecting() && endpoint.consumer.is_some_and(looks)
    }

    /// Tries again what could not be read.
    async fn take_on_postponed(&mut self) {
        if self.postponed.is_empty() {
            return;
        }
        let now = self.now();
        let due = self.postponed.extract_if(|_, (at, _)| *at <= now);
        let due: Vec<(WebhookId, bool)> = due.map(|(id, (_, anew))| (id, anew)).collect();
        for (id, anew) in due {
            self.take_on(&id, anew).await;
        }
    }

    /// Has events given back while there are too many of them.
    async fn make_room(&mut self) {
        while let Some(key) = self.memory.next_to_give() {
            self.tell(key, Input::Shed).await;
        }
    }

    async fn arrive(&mut self, consumer: ConsumerId, events: Vec<Delivery>) {
        if let Some(&key) = self.joined.get(&consumer) {
            self.tell(key, Input::Arrived(events)).await;
        }
    }

    /// A consumer is no more: its subscription was deleted, or made anew.
    async fn lose(&mut self, consumer: ConsumerId) {
        let Some(key) = self.joined.remove(&consumer) else { return };
        if let Some(endpoint) = self.endpoints.get_mut(&key) {
            endpoint.consumer = None;
            self.tell(key, Input::Lost).await;
        }
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        // Also when it came to grief, and another goes on.
        self.shared.metrics.endpoints.dec_by(i64::try_from(self.endpoints.len()).unwrap_or(0));
    }
}
