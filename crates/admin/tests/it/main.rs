//! The admin interface over the in-memory engine, request by request, without sockets.

mod access;
mod catalog;
mod credentials;
mod document;
mod publish;
mod stage;
