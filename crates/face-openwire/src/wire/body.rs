//! Bodies of messages.
