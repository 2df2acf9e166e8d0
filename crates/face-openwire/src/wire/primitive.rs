//! Typed values and maps of them.
