//! A person's word about what is quarantined: it counts once, for what was shown, and only when it is written down.

use std::io;
use std::path::Path;

use bartizan_monitor::wire::json::Json;

use super::{Item, LOCK, PATIENCE, State, directory, look, name};
use crate::config::files;

/// Why a word about something does not count.
#[derive(Debug, thiserror::Error)]
pub enum Unheard {
    /// There is no such thing.
    #[error("nothing of that name is quarantined (any more)")]
    Gone,
    /// It is not what was shown.
    #[error("what was shown is not what is there")]
    Changed,
    /// Somebody was faster.
    #[error("somebody has decided it before: it is {}", .0.name())]
    Decided(State),
    /// It cannot be written down.
    #[error("it cannot be written down: {0}")]
    Unwritten(io::Error),
}

/// What a person says of something: where it is kept, which one, what was shown, and when.
#[derive(Debug, Clone, Copy)]
pub struct Word<'a> {
    /// The state directory.
    pub state: &'a Path,
    /// Its handle.
    pub handle: &'a str,
    /// The digest of what was shown.
    pub shown: &'a str,
    /// Who says it.
    pub by: &'a str,
    /// When.
    pub now_ms: u64,
}

/// Lets something go, or throws it away. `noted` writes it down first: what it cannot write has not happened.
pub fn decide(word: Word<'_>, to: State, noted: impl FnOnce(&Item) -> io::Result<()>) -> Result<Item, Unheard> {
    let Word { state, handle, shown, by, now_ms } = word;
    let directory = directory(state).map_err(Unheard::Unwritten)?;
    let _held = files::hold_within(&state.join(LOCK), PATIENCE).map_err(Unheard::Unwritten)?;
    let item = look(state, handle).map_err(Unheard::Unwritten)?.filter(|item| now_ms < item.until_ms).ok_or(Unheard::Gone)?;
    match (item.state, to) {
        // What was let go can still be thrown away.
        (State::Waits, _) | (State::Released, State::Dropped) => {}
        (before, _) => return Err(Unheard::Decided(before)),
    }
    if item.shown().to_string() != shown {
        return Err(Unheard::Changed);
    }
    noted(&item).map_err(Unheard::Unwritten)?;
    let texts = if to == State::Dropped { Vec::new() } else { item.texts.clone() };
    let decided = Item { state: to, by: Some(by.to_owned()), texts, ..item };
    files::replace(&directory.join(name(&decided)), Json::of(&decided).bytes(), files::Readers::Owner).map_err(Unheard::Unwritten)?;
    Ok(decided)
}
