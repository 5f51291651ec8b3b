//! JSON Schemas, compiled: what a value breaks, what it holds that nobody declared, what no value may exceed.
//!
//! A schema comes from a server, and so does the value that is held against it: nothing is fetched, patterns run in
//! linear time or give up, and what is said of a value is its place, never its content.

mod bounds;
mod declared;
mod kept;
mod place;
mod rules;
mod survey;

pub use bounds::Bounds;
pub use declared::Strays;
pub use kept::Kept;
pub use rules::{Broken, Rules};
