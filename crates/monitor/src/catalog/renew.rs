//! A case that waited becomes a case of now.

use super::{Catalog, Menu, Owner, unknown};
use crate::case::{Case, Facts, Target};
use crate::reason::Refusal;

impl Owner {
    /// Whose the gateway's own questions are.
    #[must_use]
    pub fn gateway() -> Self {
        Self { server: "".into(), tool: None }
    }

    /// Whether it is the gateway itself.
    #[must_use]
    pub fn is_gateway(&self) -> bool {
        self.server.is_empty() && self.tool.is_none()
    }
}

impl Catalog {
    /// The same message as it stands now: about what is approved and offered at this moment, with the facts of this
    /// moment. What was approved when it came and is not any more does not exist.
    pub fn renew(&self, mut case: Case, menus: &[Menu], facts: Facts) -> Result<Case, Refusal> {
        if let Target::Item(item) = &case.target {
            let pin = self.lock.get(&item.server, item.pin.kind, &item.pin.name).ok_or_else(|| unknown("it is not approved any more"))?;
            let menu = menus.iter().find(|menu| menu.server == item.server).ok_or_else(|| unknown("its server is gone"))?;
            case.target = Target::Item(self.standing(menu, pin)?);
        }
        case.facts = facts;
        Ok(case)
    }
}
