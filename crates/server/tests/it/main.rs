//! The real binary, from the outside: what an operator and a client see.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code, helpers included, fails by panicking"
)]

mod activation;
mod backlog;
mod bench;
mod browse;
mod config;
mod credentials;
mod desk;
mod dev;
mod drain;
mod expiry;
mod health;
mod kill;
mod kill_ingest;
mod kill_queues;
mod kill_webhooks;
mod newcomer;
mod outflow;
mod reader;
mod reopen;
mod secrets;
mod shared_port;
mod stomp;
mod streams;
mod tls;
mod tour;
mod verify;
mod ways_in_and_out;
