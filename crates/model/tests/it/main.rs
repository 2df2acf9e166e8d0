//! What users of the model depend on: JSON, drafts, filters.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "test code outside of test functions"
)]

mod draft;
mod filter;
mod filter_oracle;
mod grant;
mod id;
mod json;
mod keyed;
mod meta;
mod offset;
mod subset;
mod timestamp;
