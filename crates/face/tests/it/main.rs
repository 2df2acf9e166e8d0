//! What faces share, tested through real sockets.

mod bodies;
mod limits;
mod server;
mod tls;
