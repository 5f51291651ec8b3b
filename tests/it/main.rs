//! The integration tests: one binary, one module per subject.

mod bad_input;
mod cases;
mod chatter;
mod compile_fail;
mod corpora_drift;
mod corpora_json;
mod corpora_messages;
mod corpora_names;
mod corpora_schema;
mod escape;
mod examples;
mod http_edge;
mod invariants;
mod lifecycle;
mod oauth;
mod pinned;
mod props_json;
mod props_lock;
mod props_uri;
mod resources;
mod review;
mod rmcp;
mod strangers;
mod supply;
mod told;
