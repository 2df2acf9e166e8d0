//! The client commands of the binary `outflow`: a plain HTTP client of the `/v1` routes.
//!
//! `server` flattens [`ClientCommand`] into its own command line and calls [`run`]; this crate
//! calls nothing of Outflow but `model`, so what works here works for any HTTP client.
//!
//! Invariants: data goes to stdout, messages to stderr; a secret is read from a file, the
//! environment or a data directory, never from a flag; the exit code says what went wrong
//! ([`Failure::exit_code`]); colour and progress are for terminals only.
//!
//! | code | meaning |
//! | --- | --- |
//! | 0 | done |
//! | 1 | failed: the input, the answer or the output was at fault |
//! | 2 | the command line was wrong |
//! | 3 | not authenticated, or not allowed |
//! | 4 | no such thing |
//! | 5 | the server cannot be reached or cannot take it now: try again |

mod api;
mod api_key;
mod command;
mod completions;
mod connection;
mod cursor;
mod extraction;
mod failure;
mod http;
mod ingest_stream;
mod integration;
mod key;
mod landed_file;
mod listen;
mod operator;
mod output;
mod project;
mod publish;
mod secret_file;
mod setting;
mod span;
mod stream;
mod subscription;
mod tail;
mod token;
mod transaction;
mod user;
mod webhook;

pub use command::{ClientCommand, run};
pub use failure::Failure;
