//! Only the catalogue says that the target of a call exists and was approved.

use bartizan_monitor::case::{Caller, Case, Facts, Target};
use bartizan_monitor::wire::envelope::Message;
use bartizan_monitor::wire::mirror::Mirror;
use bartizan_monitor::wire::version::Version;

fn forge(caller: Caller, facts: Facts, message: Message) -> Case {
    Case { caller, facts, version: Version::NEWEST, message, target: Target::Gateway, arguments: None, mirror: Mirror::none() }
}

fn main() {}
