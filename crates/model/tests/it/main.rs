//! What users of the model depend on: JSON, drafts, filters.

mod draft;
mod json;
