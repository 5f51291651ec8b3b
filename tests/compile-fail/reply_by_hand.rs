//! The way from an outcome to the bytes for a client is not open to others.

use bartizan_gateway::front::reply;

fn main() {}
