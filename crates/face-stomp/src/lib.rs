//! STOMP 1.0, 1.1 and 1.2 over TCP, TLS and WebSocket.
//!
//! Called by `server`. Calls `hub`, `auth` and `face`.

pub mod wire;
