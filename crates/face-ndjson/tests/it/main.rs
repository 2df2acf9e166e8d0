//! The NDJSON face, tested as clients meet it.

mod wire;
