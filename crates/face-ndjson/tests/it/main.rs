//! The NDJSON face, tested as clients meet it.

mod clients;
mod stand;
mod wire;
