//! Who decides about what: the command line, or a person, group by group.

use std::io;

use bartizan_gateway::review::{self, Advice, Change, Group, What};
use bartizan_monitor::case::{Effect, Kind};
use bartizan_monitor::lock::Lock;

use super::ask::{Screen, Word};
use super::{Args, is_called};

/// Whom to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asking {
    /// A person, about each definition.
    Each,
    /// A person, once per server.
    Once,
    /// Nobody: the command says yes.
    Granted,
    /// Nobody: there is no terminal.
    Nobody,
}

/// What the command says beforehand.
pub(super) struct Terms<'a> {
    pub(super) args: &'a Args,
    pub(super) asking: Asking,
    /// What was noticed in the definitions.
    pub(super) advice: Advice,
}

/// What becomes of a change without a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unasked {
    Taken,
    Left,
    Asked,
}

impl Terms<'_> {
    /// The class that the command gives a tool, else the proposed one.
    fn effect(&self, server: &str, change: &Change) -> Effect {
        let mut given = self.args.effects.iter().rev();
        let given = given.find(|(tool, _)| change.kind == Kind::Tool && is_called(tool, server, change));
        given.map_or_else(|| change.effect(), |(_, effect)| *effect)
    }

    /// The one place where something is approved without a person.
    fn unasked(&self, group: &Group<'_>) -> Unasked {
        let light = self.args.grade.is_some_and(|most| group.grade.is_some_and(|grade| grade <= most));
        let warned = !self.args.despite_findings && group.changes.iter().any(|change| self.advice.blocks(change));
        match self.asking {
            Asking::Granted | Asking::Nobody if warned => Unasked::Left,
            Asking::Each | Asking::Once if warned => Unasked::Asked,
            _ if light => Unasked::Taken,
            Asking::Granted if self.args.grade.is_none() => Unasked::Taken,
            Asking::Granted | Asking::Nobody => Unasked::Left,
            Asking::Each | Asking::Once => Unasked::Asked,
        }
    }
}

/// What was decided so far about one server.
#[derive(Default)]
struct Decided<'c> {
    taken: Vec<(&'c Change, Effect)>,
    /// To be asked about in the end, all at once.
    pending: Vec<(&'c Change, Effect)>,
    left: usize,
}

/// Reviews one server; returns how many definitions are left open.
pub(super) fn review<W: io::Write>(
    terms: &Terms<'_>,
    (server, changes): (&str, &[Change]),
    lock: &mut Lock,
    screen: &mut Screen<W>,
) -> io::Result<usize> {
    let open = changes.iter().filter(|change| change.is_open()).count();
    screen.say(&format!("{server}: {} definitions, {open} to review", changes.len()))?;
    let groups = review::groups(changes);
    screen.together(&review::together(&groups))?;
    screen.noticed(&terms.advice.together, "Over all definitions")?;
    let mut decided = Decided::default();
    for group in &groups {
        consider(terms, server, group, (&mut decided, screen))?;
    }
    let Decided { mut taken, pending, mut left } = decided;
    if !pending.is_empty() && !screen.ask_all(pending.len(), server)? {
        left = left.saturating_add(pending.len());
    } else {
        taken.extend(pending);
    }
    taken.iter().for_each(|(change, effect)| change.accept(lock, server, *effect));
    Ok(left)
}

fn consider<'c, W: io::Write>(
    terms: &Terms<'_>,
    server: &str,
    group: &Group<'c>,
    (decided, screen): (&mut Decided<'c>, &mut Screen<W>),
) -> io::Result<()> {
    let Some((change, rest)) = group.changes.split_first() else { return Ok(()) };
    let effect = terms.effect(server, change);
    match &change.what {
        What::Same(pin) if effect == pin.effect => return Ok(()),
        What::Rejected(why) => return screen.rejected(change, why),
        What::Same(_) | What::New(_) | What::Changed(..) | What::Renamed(..) | What::Removed(_) => {
            screen.change(change, effect, group)?;
            screen.noticed(terms.advice.about(change), "Noticed")?;
            screen.near(terms.advice.near(change))?;
        }
    }
    let others: Vec<(&Change, Effect)> = rest.iter().map(|change| (*change, terms.effect(server, change))).collect();
    screen.others(&others)?;
    let all = std::iter::once((*change, effect)).chain(others.iter().copied());
    match (terms.unasked(group), terms.asking) {
        (Unasked::Taken, _) => decided.taken.extend(all),
        (Unasked::Left, _) => decided.left = decided.left.saturating_add(group.changes.len()),
        (Unasked::Asked, Asking::Once) => decided.pending.extend(all),
        (Unasked::Asked, _) if others.is_empty() => one(screen, (*change, effect), decided)?,
        (Unasked::Asked, _) => match screen.ask_group(group.changes.len())? {
            Word::All => decided.taken.extend(all),
            Word::No => decided.left = decided.left.saturating_add(group.changes.len()),
            Word::Yes(_) => {
                for (change, effect) in all {
                    screen.name(change, effect)?;
                    one(screen, (change, effect), decided)?;
                }
            }
        },
    }
    Ok(())
}

/// Asks about one change.
fn one<'c, W: io::Write>(screen: &mut Screen<W>, (change, effect): (&'c Change, Effect), decided: &mut Decided<'c>) -> io::Result<()> {
    match screen.ask(effect)? {
        Word::Yes(effect) => decided.taken.push((change, effect)),
        Word::No | Word::All => decided.left = decided.left.saturating_add(1),
    }
    Ok(())
}
