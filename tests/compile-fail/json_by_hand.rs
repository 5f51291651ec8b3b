//! JSON that was not read strictly is not JSON here.

use bartizan_monitor::wire::json::Json;
use bytes::Bytes;

fn forge(bytes: Bytes) -> Json {
    Json { 0: bytes }
}

fn main() {}
