//! The store's own tests: the engine contract on the memory engine, and blocks.

mod block;
mod memory;
