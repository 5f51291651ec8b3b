//! Counts: how often, how much, how many failures in a row. It decides nothing and does nothing: no I/O,
//! no clock (every time is an argument), and it knows no other crate of ours.
//!
//! START HERE: [`Tally`] is what one call takes, and gives back unless the call is made. What is counted
//! under which name, and how much there is of it, is in [`Rules`].

mod budget;
mod cells;
mod circuit;
mod door;
mod key;
mod lease;
mod meter;
mod moment;
mod rate;
mod rules;
mod tally;

pub use budget::{Entry, Period, Spent};
pub use circuit::{Circuit, Ended, Pass};
pub use door::{DoorRules, Doors, Knock, Told, Why};
pub use key::{Key, Scope, Seed};
pub use lease::{Ask, Sharing};
pub use meter::Meter;
pub use moment::Moment;
pub use rate::{MOST, Rate};
pub use rules::{Bill, Budget, Call, Class, Of, Rules};
pub use tally::{Short, Tally};
