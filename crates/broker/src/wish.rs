//! What a client wants to consume, whatever its wire.

use outflow_hub::destination::Destination;
use outflow_hub::selector::Selector;

/// See the module.
#[derive(Debug, Clone)]
pub struct Wish {
    /// From where.
    pub destinations: Vec<Destination>,
    /// Which messages.
    pub selector: Option<Selector>,
    /// Whether it only looks.
    pub browser: bool,
    /// The name of a durable subscription to a topic.
    pub durable: Option<String>,
    /// Messages sent and not acked at once; 0: only when pulled.
    pub prefetch: u32,
    /// The consumer's priority.
    pub priority: u8,
    /// Whether it wants all messages for itself.
    pub exclusive: bool,
    /// Whether a topic's subscriber wants what is retained, too.
    pub retroactive: bool,
    /// Whether it wants none of this connection's own messages. Of topics only, as JMS has it: a
    /// queue's message that nobody here wants is another consumer's.
    pub no_local: bool,
    /// Whether sent is acked.
    pub auto_ack: bool,
}

impl Wish {
    /// Whether it wants none of this connection's own messages of `destinations`, if it says so.
    #[must_use]
    pub fn no_local(says: bool, destinations: &[Destination]) -> bool {
        says && destinations.iter().all(|one| !one.kind.is_queue())
    }

    /// Whether it may come to stand for more queues than now. A browser sees what there is.
    #[must_use]
    pub fn grows(&self) -> bool {
        !self.browser && self.destinations.iter().any(may_grow)
    }

    /// The same of those of its destinations alone that may come to stand for more queues.
    #[must_use]
    pub fn growing(mut self: Box<Self>) -> Box<Self> {
        self.destinations.retain(may_grow);
        self
    }
}

fn may_grow(one: &Destination) -> bool {
    one.kind.is_queue() && one.has_wildcards()
}
