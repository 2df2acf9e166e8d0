//! What a webhook's request is made of, whoever sends it: the body of a batch, the headers that are
//! added to it, and its signature.
//!
//! Called by `face-webhook`, which sends from the server, and by `cli`, whose `outflow listen` sends
//! from a developer's machine; calls `auth` for secrets, and `model`.
//!
//! Invariants: no I/O; the same events make the same body and, at the same second, the same signature; no secret
//! is printed.

pub mod body;
pub mod header;
pub mod signature;
