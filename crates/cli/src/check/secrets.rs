//! Whether the secrets of a server are there, and how old they are.

use std::collections::BTreeMap;
use std::time::Duration;

use bartizan_gateway::clock;
use bartizan_gateway::config::{Reference, ServerSettings, Settings};
use bartizan_gateway::secrets::{Found, Inventory, Keeper};
use bartizan_monitor::reason::Refusal;

use super::items::{Item, Standing};

/// What is to be said of the secrets of a server; nothing when it has none. The stores are not asked when it must be
/// `offline`; what is known of them from use is told all the same.
pub(super) fn items(
    server: &ServerSettings,
    keeper: &Keeper,
    (settings, offline): (&Settings, bool),
    runtime: &tokio::runtime::Runtime,
) -> Vec<Item> {
    let references: Vec<Reference> = server.templates().flat_map(|(_, template)| template.references().cloned()).collect();
    if references.is_empty() {
        return Vec::new();
    }
    let asked: BTreeMap<Reference, Result<Found, Refusal>> = references
        .into_iter()
        .filter(|reference| !offline || is_here(reference))
        .map(|reference| {
            let found = runtime.block_on(keeper.look(&reference));
            (reference, found)
        })
        .collect();
    let mut items: Vec<Item> = Vec::new();
    for refusal in asked.values().filter_map(|found| found.as_ref().err()) {
        let item = Item::new(&server.name, "secrets", Standing::Open, format!("{} ({})", refusal.detail, refusal.reason));
        items.push(item.remedy(refusal.reason.page().remedy));
    }
    if items.is_empty() {
        let evidence = match asked.len() {
            0 => "none that can be looked at offline".to_owned(),
            count => format!("{count} references, all lead to a value"),
        };
        items.push(Item::new(&server.name, "secrets", Standing::Good, evidence));
    }
    items.extend(settings.stores.warn_after.into_iter().flat_map(|after| old(server, &asked, settings, after)));
    items
}

const fn is_here(reference: &Reference) -> bool {
    matches!(reference, Reference::Env(_) | Reference::File(_) | Reference::Keyring(_))
}

/// The secrets that should have been replaced by now. When one was made says its store, else when a gateway met it.
fn old(server: &ServerSettings, asked: &BTreeMap<Reference, Result<Found, Refusal>>, settings: &Settings, after: Duration) -> Vec<Item> {
    let rows = match Inventory::of(&settings.places.state).rows() {
        Ok(rows) => rows,
        Err(error) => {
            let evidence = format!("the inventory of secrets cannot be read: {error}");
            return vec![Item::new(&server.name, "secret age", Standing::Open, evidence)];
        }
    };
    let now_ms = clock::now_ms();
    let mut references: Vec<Reference> = server.templates().flat_map(|(_, template)| template.references().cloned()).collect();
    references.sort();
    references.dedup();
    let made = |reference: &Reference| {
        let told = asked.get(reference).and_then(|found| found.as_ref().ok()).and_then(|found| found.made_ms);
        told.or_else(|| rows.get(&reference.to_string()).map(|row| row.changed_ms))
    };
    let item = |reference: &Reference| {
        let age = Duration::from_millis(now_ms.saturating_sub(made(reference)?));
        let days = age.as_secs() / 86_400;
        let evidence = format!("{reference} has been the same for {days} days; `secrets.warn_after` is {}", clock::duration(after));
        let item = Item::new(&server.name, "secret age", Standing::Open, evidence);
        (age >= after)
            .then(|| item.remedy("replace it where its reference leads to; no restart is needed, except for environment variables"))
    };
    references.iter().filter_map(item).collect()
}
