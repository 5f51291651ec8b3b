//! Second opinions, asked after everything local has passed: nobody is asked in vain.

use bartizan_monitor::reason::Refusal;
use bartizan_monitor::stages::{Admitted, Ruling};

/// Asks a person where a control wants one. There is no channel to a person yet, and silence is no.
pub fn ask(ruling: Ruling) -> Result<Admitted, Refusal> {
    match ruling {
        Ruling::Admitted(admitted) => Ok(admitted),
        Ruling::Held(held) => Err({
            let refusal = Refusal::new(held.hold().reason, "nobody agreed");
            held.refused(refusal, None)
        }),
    }
}
