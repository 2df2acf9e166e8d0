//! What publishers, readers and administrators depend on, on the engine in memory.

mod catalog;
mod dedup;
mod entitlement;
mod limits;
mod live;
mod publishing;
mod reading;
mod tenants;
mod world;
