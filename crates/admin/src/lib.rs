//! The interface of operators: JSON over HTTP under `/v1`.
//!
//! Called by `server`, which merges [`router()`] with the faces' routes on one port. Calls `hub` for
//! the catalog, `auth` for credentials, `face` for bodies and problems.
//!
//! Every route needs `Authorization: Bearer <token>` but `/v1/openapi.json` and the exchange of
//! client secrets for tokens ([`oauth`]), which has a form of its own. What a caller may do
//! is decided in [`access`], before anything else of the request is looked at: a thing that is not
//! the caller's is answered exactly as one that does not exist. Errors are problem documents
//! (RFC 9457) with a stable `code`, the request's id and, where a member is at fault, `errors` with
//! a JSON pointer ([`error`]). What comes in and what goes out are separate types, unknown members
//! are refused, and a secret is in the answer that creates it and nowhere else.
//!
//! Publishing is part of this interface and its document, and is served by `face-publish`.

mod access;
mod api_key;
mod change;
mod credential;
mod cursor;
mod document;
mod entity_type;
mod error;
mod event_type;
mod extraction;
#[cfg(test)]
mod feeding;
mod ingest_stream;
#[cfg(test)]
mod ingesting;
mod input;
mod integration;
mod key;
mod landed_file;
mod oauth;
mod operator;
mod page;
mod prepared_transaction;
mod project;
#[cfg(test)]
mod publishing;
#[cfg(test)]
mod reading;
mod router;
mod stream;
mod subscription;
mod token;
mod user;
mod webhook;

pub use error::{method_not_allowed, no_such_route};
pub use router::router;
