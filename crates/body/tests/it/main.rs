//! Request bodies as handlers read them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

mod bodies;
