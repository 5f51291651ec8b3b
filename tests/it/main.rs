//! The integration tests: one binary, one module per subject.

mod bad_input;
mod cases;
mod chatter;
mod compile_fail;
mod corpora_json;
mod corpora_messages;
mod corpora_schema;
mod examples;
mod http_edge;
mod invariants;
mod lifecycle;
mod props_json;
mod resources;
mod rmcp;
mod strangers;
