//! Proofs are neither copied nor made from nothing.

use bartizan_monitor::case::Case;
use bartizan_monitor::stages::{Admitted, Answer, Held, Recorded, Released};
use bartizan_monitor::wire::envelope::Parsed;

fn copied<T: Clone>() {}
fn from_nothing<T: Default>() {}

fn main() {
    copied::<Parsed>();
    copied::<Case>();
    copied::<Admitted>();
    copied::<Held>();
    copied::<Recorded>();
    copied::<Answer>();
    copied::<Released>();
    from_nothing::<Recorded>();
    from_nothing::<Released>();
}
