//! What the integration tests share.

pub mod client;
pub mod corpora;
pub mod gateway;
pub mod http;
pub mod journal;
pub mod json;
pub mod postgres;
pub mod process;
pub mod provider;
pub mod script;
pub mod standin;
pub mod vault;
