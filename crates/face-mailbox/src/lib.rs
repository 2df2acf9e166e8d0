//! Mailboxes with long poll and locks, as Hivedome ITAS Events has them.
//!
//! Called by `server`. Calls `hub`, `auth` and `face`.
