//! What holders and administrators of credentials depend on.

mod credentials;
mod redaction;
