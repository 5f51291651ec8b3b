//! One grant, one call.

use bartizan_monitor::stages::{Grant, Held};

fn both(one: Held, other: Held, grant: Grant) {
    let _ = one.granted(grant, 0);
    let _ = other.granted(grant, 0);
}

fn main() {}
