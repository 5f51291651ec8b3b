//! The integration tests: one binary, one module per subject.

mod corpora_json;
mod corpora_messages;
mod corpora_schema;
mod props_json;
mod cases;
mod lifecycle;
mod examples;
mod rmcp;
