//! Colour where it helps, and none where it does not.

use std::io::{IsTerminal, Write};

use bartizan_gateway::review::Line;
use bartizan_gateway::review::is_unseen;
use bartizan_monitor::case::Effect;

/// Whether to use colour.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint {
    on: bool,
}

/// Whether the person wants colour at all (no-color.org).
#[expect(clippy::disallowed_methods, reason = "the one variable that is about how things look")]
pub(crate) fn colour_is_welcome() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

impl Paint {
    /// For standard output: a terminal, and nobody said `NO_COLOR`.
    pub(crate) fn for_stdout() -> Self {
        Self { on: std::io::stdout().is_terminal() && colour_is_welcome() }
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.on { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// Something to look at first.
    pub(crate) fn bold(self, text: &str) -> String {
        self.with("1", &visible(text))
    }

    /// What went well, and what did not.
    pub(crate) fn good(self, text: &str) -> String {
        self.with("32", text)
    }

    /// What was refused, or needs somebody.
    pub(crate) fn bad(self, text: &str) -> String {
        self.with("31", text)
    }

    /// What is there and matters less.
    pub(crate) fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    /// An effect class: the worse, the louder.
    pub(crate) fn effect(self, effect: Effect, text: &str) -> String {
        match effect {
            Effect::Read => self.with("32", text),
            Effect::Write => self.with("33", text),
            Effect::Destructive => self.with("1;31", text),
        }
    }
}

/// A name as a person can see it: what does not show becomes an escape.
pub(crate) fn visible(text: &str) -> String {
    text.chars()
        .map(|symbol| {
            if symbol.is_ascii_graphic() || symbol == ' ' || (symbol.is_alphanumeric() && !is_unseen(symbol)) {
                symbol.to_string()
            } else {
                symbol.escape_unicode().to_string()
            }
        })
        .collect()
}

/// Text as a person can see it: punctuation of all languages shows, what does not becomes an escape.
pub(crate) fn visible_text(text: &str) -> String {
    let hides = |symbol: char| symbol.is_control() || is_unseen(symbol);
    text.chars().map(|symbol| if hides(symbol) { symbol.escape_unicode().to_string() } else { symbol.to_string() }).collect()
}

/// A line of a difference.
pub(crate) fn show(line: &Line, paint: &Paint) -> String {
    match line {
        Line::Kept(text) => format!("  {text}"),
        Line::Gone(text) => paint.with("31", &format!("- {text}")),
        Line::Came(text) => paint.with("32", &format!("+ {text}")),
    }
}

/// Shows what is going on, on a terminal only, in one line that the next call replaces.
pub(crate) fn progress(text: &str) {
    let mut error = std::io::stderr();
    if error.is_terminal() {
        // Progress that cannot be shown is no reason to stop.
        let _ = write!(error, "\r\u{1b}[K{text}");
        let _ = error.flush();
    }
}
