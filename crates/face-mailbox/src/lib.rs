//! The mailbox face: Hivedome's ITAS Events Services, and any HTTP client that wants a locked,
//! confirmed queue by long poll.
//!
//! Speaks the two grammars of the vendor's published pages (seed 003, reference
//! `aria_itas_amperity.md` part 2): `/Events/<call>` of 2015, and `/Subscribers`, `/Subscriptions`,
//! `/Messages` of the later one; both on the HTTP port, paths and names in any case. The client
//! promised is any HTTP client that keeps the seed's call order: Register, Subscribe, then Peek,
//! Receive, Confirm in a loop.
//!
//! A company's topic is the stream `AA/INVOICES`; a subscriber's mailbox is the subscription
//! `mailbox:<its id>` over its topics, from the end of each at the moment of Subscribe, kept in one
//! order. Publishing, leases and places are the hub's, so a mailbox, a STOMP queue and an NDJSON
//! reader see the same events.
//!
//! One request's way through: [`listen`] takes it; [`wire`] reads its address; [`authenticate`]
//! turns its headers into a grant; [`calls`] does what is asked with the hub; [`translate`] makes
//! ids and messages; [`error`] renders what went wrong. [`document`] describes it all at
//! `/Events/openapi.json`. There is no `session`: every call stands for itself, and what lasts
//! between two of them is the hub's.
//!
//! Called by `server`; calls `hub`, `auth`, `face`, `body` and `model`.
//!
//! Invariants: every answer but a 204 is a JSON object with members in Pascal case; a Confirm is
//! durable before its 200, and a repeat of it gets the same; a message stays until it is confirmed or
//! its mailbox is removed, for `mailbox.message_days` and the bytes of its stream at most; order is the
//! order of publishing for one caller that takes one message at a time; bodies hold no more memory than
//! the [`Door`](outflow_body::Door) gives them, however many come at once; a Peek that waits costs its
//! connection's task and nothing else, and is woken by the publish.
//!
//! Deliberate deviations from what is published of the vendor's: lists are members of an object
//! (`Topics`, `Subscriptions`); a Peek that times out says so in a `ServiceResult` object beside a
//! count of 0, and a time that was cut to the longest that may be in one beside what came;
//! `Renew`, `Release`, `Unregister` and `DeliveryCount`, `LockedUntil` are our own; Subscribe
//! answers 200 unless set to the vendor's 201; the second grammar may name a company, and must
//! where several have the topic.

pub mod authenticate;
pub mod calls;
pub mod config;
pub mod document;
pub mod error;
pub mod listen;
pub mod metrics;
pub mod translate;
pub mod wire;

pub use config::{Options, SubscribeStatus};
pub use listen::router;
