//! The real binary, from the outside: what an operator and a client see.

mod config;
mod dev;
mod drain;
mod health;
mod kill;
mod outflow;
mod reader;
mod verify;
