//! A grant is not put together: where it comes from is one constructor, in one module.

use bartizan_monitor::stages::{Binding, Grant, Word};

fn forge(binding: Binding, word: Word) -> Grant {
    Grant { binding, word, until_ms: u64::MAX }
}

fn main() {}
