//! What a detector says: a class, how much it weighs, where, and an excerpt that is safe to print.

use std::fmt;

/// What was noticed. The list is closed: people write policies and read reports with these names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Characters that a person does not see and a model reads.
    Hidden,
    /// Control characters and terminal escape sequences.
    Control,
    /// Letters that look like others, or are dressed up as symbols.
    Disguised,
    /// Text moved out of sight by spaces or empty lines.
    Padding,
    /// Comments and markup that are not shown, and links that carry data.
    Markup,
    /// An encoding that hides an order or a command.
    Encoded,
    /// An order to the model that sets aside what it was told or who may tell it.
    Override,
    /// An order to keep something from the user.
    Concealment,
    /// Claims that consent was given, or that checks are off.
    Consent,
    /// A request for passwords, keys or files that hold them.
    Secret,
    /// A request for the conversation, the system prompt or what the user said.
    Context,
    /// An address that data is to be sent to.
    Exfiltration,
    /// An order about another tool or server.
    Shadowing,
    /// A claim to be chosen before others.
    Preference,
    /// An order to misreport, or to change what others ordered.
    Tampering,
    /// An order meant to outlive this conversation.
    Memory,
    /// A shell command to be run.
    Command,
    /// A marker of another role: system, developer, chat template.
    Role,
    /// Prose where a name or a value belongs.
    Misplaced,
    /// The name, the text and the hints say different things.
    Contradiction,
    /// An order whose parts are in several tools.
    Split,
    /// Reads like orders to a model, to the embedded classifier.
    Learned,
    /// More text than is looked at, so that nothing is known of the rest.
    Oversized,
}

impl Class {
    /// Every class, in the order in which they are told.
    pub const ALL: &[Self] = &[
        Self::Hidden,
        Self::Control,
        Self::Disguised,
        Self::Padding,
        Self::Markup,
        Self::Encoded,
        Self::Override,
        Self::Concealment,
        Self::Consent,
        Self::Secret,
        Self::Context,
        Self::Exfiltration,
        Self::Shadowing,
        Self::Preference,
        Self::Tampering,
        Self::Memory,
        Self::Command,
        Self::Role,
        Self::Misplaced,
        Self::Contradiction,
        Self::Split,
        Self::Learned,
        Self::Oversized,
    ];

    /// The stable name, for machines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.words().0
    }

    /// One sentence for people: what was noticed and why it matters.
    #[must_use]
    pub const fn what(self) -> &'static str {
        self.words().1
    }

    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Hidden => ("hidden", "Invisible characters: a model reads what a person cannot see."),
            Self::Control => ("control", "Control characters or escape sequences: what a terminal shows is not what is written."),
            Self::Disguised => ("disguised", "Letters of other alphabets or symbols stand for ordinary ones."),
            Self::Padding => ("padding", "Text is moved out of sight by spaces or empty lines."),
            Self::Markup => ("markup", "Markup that is not shown, or that carries data out when it is."),
            Self::Encoded => ("encoded", "Encoded text that turns out to be an order or a command."),
            Self::Override => ("override", "Orders the model to set aside its instructions."),
            Self::Concealment => ("concealment", "Orders the model to keep something from the user."),
            Self::Consent => ("consent", "Claims that the user agreed, or that checks are off."),
            Self::Secret => ("secret", "Asks for passwords, keys or files that hold them."),
            Self::Context => ("context", "Asks for the conversation, the system prompt or what the user said."),
            Self::Exfiltration => ("exfiltration", "Asks that data is sent to an address."),
            Self::Shadowing => ("shadowing", "Gives orders about another tool or server."),
            Self::Preference => ("preference", "Claims to be chosen before other tools."),
            Self::Tampering => ("tampering", "Asks the model to misreport, or to change what was ordered."),
            Self::Memory => ("memory", "Gives an order that is to outlive this conversation."),
            Self::Command => ("command", "Contains a shell command to be run."),
            Self::Role => ("role", "Speaks in the name of the system, or imitates a chat template."),
            Self::Misplaced => ("misplaced", "Prose where a name or a value belongs."),
            Self::Contradiction => ("contradiction", "The name, the text and the hints say different things."),
            Self::Split => ("split", "An order whose parts are in several tools."),
            Self::Learned => ("learned", "Reads like orders to a model that others were caught with."),
            Self::Oversized => ("oversized", "More text, links or encoded parts than are looked at: nothing is known of the rest."),
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How sure a finding is. Two operating points, fixed once, the same for every text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Weight {
    /// Worth a look; honest texts have it, too (fewer than one in twenty).
    Warn,
    /// Hardly ever seen in honest texts (fewer than one in two hundred).
    Block,
}

impl Weight {
    /// The stable name, for machines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Warn => "warn",
            Self::Block => "block",
        }
    }
}

/// One thing that was noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is.
    pub class: Class,
    /// How sure it is.
    pub weight: Weight,
    /// Where: a JSON pointer (RFC 6901) into what was scanned, safe to print; empty for the whole.
    pub place: String,
    /// The text in question, at most 80 characters, made inert: printable ASCII only.
    pub excerpt: String,
}

impl Finding {
    /// A finding about `excerpt`, which may be anything: it is made short and inert here.
    #[must_use]
    pub fn new(class: Class, weight: Weight, place: &str, excerpt: &str) -> Self {
        Self { class, weight, place: inert_place(place), excerpt: inert(excerpt, EXCERPT_CHARS) }
    }

    /// One sentence for people.
    #[must_use]
    pub const fn what(&self) -> &'static str {
        self.class.what()
    }
}

const EXCERPT_CHARS: usize = 80;
const PLACE_CHARS: usize = 160;

/// A place as a [`Finding`] tells it, for whoever has to find out which text was meant.
#[must_use]
pub fn inert_place(place: &str) -> String {
    inert(place, PLACE_CHARS)
}

/// At most `max` characters of printable ASCII; everything else as `\u{…}`.
#[must_use]
pub fn inert(text: &str, max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(max));
    for c in text.chars() {
        let length = match c {
            '\\' => 2,
            ' '..='~' => 1,
            _ => c.escape_unicode().len(),
        };
        if out.len() + length > max.saturating_sub(3) {
            out.push_str("...");
            break;
        }
        match c {
            '\\' => out.push_str("\\\\"),
            ' '..='~' => out.push(c),
            _ => out.extend(c.escape_unicode()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts_are_inert_and_short() {
        assert_eq!(inert("a\u{1b}[8m\\", 80), "a\\u{1b}[8m\\\\");
        assert!(inert(&"\u{200b}".repeat(100), 80).len() <= 80);
        assert!(inert(&"é".repeat(100), 80).ends_with("..."));
    }

    #[test]
    fn every_class_has_its_own_name() {
        let names: std::collections::BTreeSet<_> = Class::ALL.iter().map(|c| c.name()).collect();
        assert_eq!(names.len(), Class::ALL.len());
    }
}
