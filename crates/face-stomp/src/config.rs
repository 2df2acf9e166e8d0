//! What the server may set for this face. The defaults are ActiveMQ's where a client could
//! notice, but for those that [the crate's list of deviations](crate) names: limits of a frame, the
//! shortest heart-beat, and when a message is text.

use std::time::Duration;

use outflow_broker::Limits;

use crate::wire::FrameLimits;

/// How a message's JMS type, text or bytes, follows from its frame when no `amq-msg-type` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TextRule {
    /// A frame without `content-length` is text, and so is one whose `content-type` is `text/*`,
    /// JSON or XML, if its body is UTF-8: most clients count every body, and Java consumers that
    /// expect a `TextMessage` break on ActiveMQ's rule (reference `activemq.md` b2).
    #[default]
    ContentType,
    /// ActiveMQ's rule: a frame with `content-length` is bytes, whatever else it says.
    ContentLength,
}

/// Options of the STOMP face.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// What frames may cost.
    pub frame: FrameLimits,
    /// What sessions may cost.
    pub limits: Limits,
    /// The shortest heart-beat that is agreed to, either way: a client that asks for less gets this.
    pub min_heart_beat: Duration,
    /// How many heart-beats in a row a client may miss: its silence lasts at most so many times
    /// what it promised. At least 2: its beats are late by the network's delay.
    pub heart_beat_grace: u32,
    /// Subscriptions a connection may have.
    pub max_subscriptions: usize,
    /// Messages sent to a consumer of a queue before it has to ack, when it does not say.
    pub prefetch: u32,
    /// See [`TextRule`].
    pub text_rule: TextRule,
    /// Whether a message says who sent it, `JMSXUserID`, by the login; what its sender says does not
    /// count then. As ActiveMQ's `populateJMSXUserID`.
    pub populate_user_id: bool,
    /// WebSocket: the origins of pages that may connect; empty: any. A page needs a login either
    /// way, so that visiting it gives it nothing.
    pub origins: Vec<String>,
    /// WebSocket connections open at once; more are answered 503.
    pub max_web_sockets: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            frame: FrameLimits::default(),
            limits: Limits::default(),
            min_heart_beat: Duration::from_millis(100),
            heart_beat_grace: 2,
            max_subscriptions: 1_000,
            prefetch: 1_000,
            text_rule: TextRule::default(),
            populate_user_id: false,
            origins: Vec::new(),
            max_web_sockets: 16_384,
        }
    }
}
