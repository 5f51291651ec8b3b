//! An answer is tied to the call that caused it, and is seen by nobody before it is released.

use bartizan_monitor::stages::{Answer, Recorded};
use bartizan_monitor::wire::envelope::Outcome;

fn peek(recorded: Recorded, outcome: Outcome) {
    let answer: Answer = recorded.answered(outcome);
    let _ = answer.reply;
}

fn main() {}
