//! The case of a message that reads what was kept of an answer.

use std::sync::{Arc, OnceLock};

use super::{Catalog, Naming};
use crate::case::{Caller, Case, Facts, Item, Kind, READ_ON, Reads, Standing, Target};
use crate::wire::canonical::Digest;
use crate::wire::envelope::Parsed;

impl Catalog {
    /// Whether a server's approved tool has the name of ours at an endpoint, with what is put before it there.
    #[must_use]
    pub fn takes(&self, server: &str, naming: Naming) -> bool {
        self.named(Kind::Tool, READ_ON, naming, server).is_some()
    }

    /// The tool that was called, as it was reviewed then, with all that the operator decided of it; none when that
    /// changed. How the server's own word of it stands now is for whoever last heard that to say.
    #[must_use]
    pub fn kept(&self, server: &Arc<str>, tool: &str, (reviewed, standing): (&Digest, Standing)) -> Option<Item> {
        let pin = self.lock.get(server, Kind::Tool, tool).filter(|pin| pin.reviewed() == *reviewed)?;
        Some(self.as_item(server, pin, standing))
    }

    /// Makes the case of a message that reads on: it is about the tool that was called, with the arguments of
    /// that call.
    #[must_use]
    pub fn reading(parsed: Parsed, caller: &Caller, facts: Facts, (item, reads): (Item, Reads)) -> Case {
        let (version, mirror, target) = (parsed.version(), parsed.mirror().clone(), Target::Item(item));
        let message = parsed.into_message();
        let (digest, caller) = (OnceLock::new(), caller.clone());
        let arguments = reads.arguments.clone();
        Case { caller, facts, version, message, target, arguments, digest, mirror, tries: None, reads: Some(reads) }
    }
}
