//! The NDJSON face, tested as clients meet it.

mod answers;
mod clients;
mod stand;
mod streaming;
mod wire;
