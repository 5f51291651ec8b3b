//! What a person sees of a held call, on every channel the same: exactly what would be sent, made inert.
//!
//! Threat: an argument that pretends to be part of the question, hides what it does, or does something in the
//! program that shows it. So a value stands in one line, in quotes; what does not show, and what Markdown or HTML
//! would act on, is an escape; what is long is folded, with its length and digest, and can be had in full.

use std::fmt::Write as _;

use bartizan_monitor::case::{Case, Effect, ReplyForm};
use bartizan_monitor::stages::{Released, ReleasedKind};
use bartizan_monitor::wire::canonical::Digest;
use bartizan_monitor::wire::json::{Json, Kind, View};

use crate::review::is_unseen;

/// How many characters of one value, and how many values, are shown before they are folded.
const MAX_VALUE: usize = 200;
const MAX_VALUES: usize = 24;
/// The same where somebody asked to see all.
const FULL_VALUE: usize = 8 * 1024 * 1024;
const FULL_VALUES: usize = 65_536;
/// How deep values are taken apart.
const MAX_DEPTH: usize = 6;
/// How long a name may be that stands in the question.
const MAX_NAME: usize = 80;
/// How many bytes the values may take together, and what changed: what waits must not fill the memory.
const MAX_TEXT: usize = 2_000;
const MAX_CHANGES: usize = 600;
/// The same of what a server's dry run says.
const MAX_DRY_RUN: usize = 2_000;
/// How much longer than it is a text may become by its escapes.
const ESCAPED: usize = 2;

/// How much is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Long values folded.
    Folded,
    /// As good as everything.
    Full,
}

/// What is shown, and its digest, which goes into the record.
#[derive(Debug, Clone)]
pub struct Shown {
    /// The text, in lines: facts as `label: value`, then the arguments and what belongs to them.
    pub text: String,
    /// How many of its bytes are facts.
    pub facts: usize,
    /// Of the text.
    pub digest: Digest,
}

impl Shown {
    /// The facts, by label.
    pub fn facts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.text.get(..self.facts).unwrap_or_default().lines().filter_map(|line| line.split_once(": "))
    }

    /// The lines after them: headings, and below each what begins with two spaces.
    pub fn rest(&self) -> impl Iterator<Item = &str> {
        self.text.get(self.facts..).unwrap_or_default().lines()
    }
}

/// What came of the server's own dry run, where the operator has said how it is asked for.
#[derive(Debug, Clone)]
pub enum Tried {
    /// A result: what the server says.
    Said(Json),
    /// It is not here, for this reason.
    Not(&'static str),
}

/// The longest result that is kept for as long as its call waits, so that somebody can see all of it.
const MAX_KEPT: usize = 64 * 1024;

impl Tried {
    /// What was released of the answer.
    #[must_use]
    pub fn said(answer: &Released) -> Self {
        let ReleasedKind::Reply(ReplyForm::Error) = answer.kind() else {
            let waits = answer.body().get("resultType").is_some_and(|kind| kind.view().as_str().as_deref() != Some("complete"));
            return if waits { Self::Not("the server asks for something first") } else { Self::Said(answer.body().clone()) };
        };
        let text = answer.body().get("message").unwrap_or_else(|| Json::string("an error"));
        let content = Json::array([Json::object([("text", text)])]);
        Self::Said(Json::object([("isError", Json::of(&true)), ("content", content)]))
    }

    /// What is kept of it beside what is shown.
    #[must_use]
    pub fn kept(self) -> Self {
        match self {
            Self::Said(result) if result.bytes().len() > MAX_KEPT => Self::Not("too long to be kept; what is shown is its beginning"),
            Self::Said(_) | Self::Not(_) => self,
        }
    }
}

/// Shows a call. `previous` are the arguments of this session's call of the tool before.
#[must_use]
pub fn shown(case: &Case, previous: Option<&Json>, tried: Option<&Tried>) -> Shown {
    let mut text = String::new();
    let mut line = |label: &str, value: &str| _ = writeln!(text, "{label}: {value}");
    line("server", &name(case.server().map_or("-", |server| server)));
    line("tool", &case.item().map_or_else(|| "-".to_owned(), |item| name(&item.pin.name)));
    line("effect", effect(case.effect()));
    line("asked by", &name(case.caller().principal()));
    if let Some(application) = case.caller().badge().and_then(|badge| badge.application.as_deref()) {
        line("application", &name(application));
    }
    line("session", &name(&case.facts().session));
    let labels: Vec<&str> = case.facts().labels.names().collect();
    if !labels.is_empty() {
        line("has read before", &format!("{} content", labels.join(" and ")));
    }
    let facts = text.len();
    text.push_str(&arguments(case.arguments_json(), Detail::Folded));
    if let Some(beside) = case.beside() {
        text.push_str("sent beside the arguments:\n");
        text.push_str(&values(beside.view(), Detail::Folded));
    }
    if let Some(previous) = previous {
        text.push_str(&difference(previous.view(), case.arguments()));
    }
    text.push_str(&tried.map(|tried| dry_run(tried, Detail::Folded)).unwrap_or_default());
    let digest = Digest::of_bytes(text.as_bytes());
    Shown { text, facts, digest }
}

/// The arguments alone.
#[must_use]
pub fn arguments(arguments: Option<&Json>, detail: Detail) -> String {
    let Some(arguments) = arguments.filter(|arguments| arguments.view().members().next().is_some()) else {
        return "arguments: none\n".to_owned();
    };
    let digest = Digest::of_json(arguments).to_string();
    format!("arguments ({digest}):\n{}", values(arguments.view(), detail))
}

/// What the server says that the call would do. It is the server's word, and nobody has checked it.
#[must_use]
pub fn dry_run(tried: &Tried, detail: Detail) -> String {
    let result = match tried {
        Tried::Said(result) => result.view(),
        Tried::Not(reason) => return format!("the server's own dry run:\n  not here: {reason}\n"),
    };
    let head = match result.get("isError").and_then(View::as_bool) {
        Some(true) => "the server's own dry run failed, in the server's words:\n",
        Some(false) | None => "the server's own dry run, in the server's words:\n",
    };
    let texts = result.get("content").into_iter().flat_map(View::items).filter_map(|part| part.get("text")?.as_str());
    let texts: Vec<_> = texts.collect();
    let mut said = lines(texts.iter().flat_map(|text| text.lines()), detail);
    said.push_str(&result.get("structuredContent").map(|structured| values(structured, detail)).unwrap_or_default());
    format!("{head}{}", if said.is_empty() { "  nothing that is a text\n" } else { &said })
}

/// Texts of others, line by line, in which nothing does anything or hides.
#[must_use]
pub fn lines<'t>(texts: impl Iterator<Item = &'t str>, detail: Detail) -> String {
    let (room, each) = match detail {
        Detail::Full => (usize::MAX, FULL_VALUE),
        Detail::Folded => (MAX_DRY_RUN, MAX_VALUE),
    };
    let (mut out, mut left_out) = (String::new(), 0_usize);
    for line in texts {
        let (inert, rest) = folded(line, each);
        // No value stands in quotes here.
        let line = format!("  | {}{}\n", inert.replace("\\\"", "\""), if rest == Rest::Some { "…" } else { "" });
        if left_out > 0 || out.len().saturating_add(line.len()) > room {
            left_out = left_out.saturating_add(1);
        } else {
            out.push_str(&line);
        }
    }
    if left_out > 0 {
        _ = writeln!(out, "  … and {left_out} more lines");
    }
    out
}

const fn effect(effect: Effect) -> &'static str {
    match effect {
        Effect::Read => "read",
        Effect::Write => "write: changes something",
        Effect::Destructive => "destructive: cannot be taken back",
    }
}

/// Every value with its path, one per line.
fn values(view: View<'_>, detail: Detail) -> String {
    let (most, each, room) = match detail {
        Detail::Full => (FULL_VALUES, FULL_VALUE, usize::MAX),
        Detail::Folded => (MAX_VALUES, MAX_VALUE, MAX_TEXT),
    };
    let mut leaves = Leaves { found: Vec::new(), most, left_out: 0 };
    leaves.walk(view, "", 0);
    let (mut out, mut left_out) = (String::new(), leaves.left_out);
    for (path, value) in &leaves.found {
        let line = format!("  {path} = {}\n", value_of(*value, each));
        if out.len().saturating_add(line.len()) > room {
            left_out = left_out.saturating_add(1);
        } else {
            out.push_str(&line);
        }
    }
    if left_out > 0 {
        _ = writeln!(out, "  … and {left_out} more; the digest above is of all of them");
    }
    out
}

/// What differs from the call before.
fn difference(before: View<'_>, now: Option<View<'_>>) -> String {
    let collect = |view: Option<View<'_>>| {
        let mut leaves = Leaves { found: Vec::new(), most: MAX_VALUES * 4, left_out: 0 };
        view.into_iter().for_each(|view| leaves.walk(view, "", 0));
        leaves.found.into_iter().map(|(path, value)| (path, value_of(value, MAX_VALUE / 2))).collect::<Vec<_>>()
    };
    let (before, now) = (collect(Some(before)), collect(now));
    let find = |of: &[(String, String)], path: &str| of.iter().find(|(other, _)| other == path).map(|(_, value)| value.clone());
    let changed = now.iter().filter_map(|(path, value)| match find(&before, path) {
        None => Some(format!("  {path}: new\n")),
        Some(old) if old != *value => Some(format!("  {path}: was {old}\n")),
        Some(_) => None,
    });
    let gone = before.iter().filter(|(path, _)| find(&now, path).is_none()).map(|(path, value)| format!("  {path}: gone, was {value}\n"));
    let mut lines = String::new();
    for line in changed.chain(gone) {
        if lines.len().saturating_add(line.len()) > MAX_CHANGES {
            lines.push_str("  … and more\n");
            break;
        }
        lines.push_str(&line);
    }
    if lines.is_empty() { "same arguments as the call before\n".to_owned() } else { format!("changed since the call before:\n{lines}") }
}

struct Leaves<'v> {
    found: Vec<(String, View<'v>)>,
    most: usize,
    left_out: usize,
}

impl<'v> Leaves<'v> {
    fn walk(&mut self, view: View<'v>, path: &str, depth: usize) {
        let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        let is_empty = view.members().next().is_none() && view.items().next().is_none();
        match view.kind() {
            Kind::Object if depth < MAX_DEPTH && !is_empty => {
                view.members().for_each(|(key, value)| self.walk(value, &below(&name(&key)), depth.saturating_add(1)));
            }
            Kind::Array if depth < MAX_DEPTH && !is_empty => {
                view.items().enumerate().for_each(|(at, value)| self.walk(value, &format!("{path}[{at}]"), depth.saturating_add(1)));
            }
            _ if self.found.len() < self.most => self.found.push((path.to_owned(), view)),
            _ => self.left_out = self.left_out.saturating_add(1),
        }
    }
}

fn value_of(view: View<'_>, most: usize) -> String {
    let (text, quote) = match view.as_str() {
        Some(text) => (text, "\""),
        None => (view.text().into(), ""),
    };
    let (inert, rest) = folded(&text, most);
    match rest {
        Rest::Nothing => format!("{quote}{inert}{quote}"),
        Rest::Some => format!("{quote}{inert}{quote}… ({} characters, {})", text.chars().count(), Digest::of_bytes(text.as_bytes())),
    }
}

/// A name in the question's own lines.
fn name(text: &str) -> String {
    match folded(text, MAX_NAME) {
        (inert, Rest::Nothing) => inert,
        (inert, Rest::Some) => format!("{inert}…"),
    }
}

/// The beginning of a text, in one line, with an escape for everything that does not show or that something could act
/// on: markup of HTML and Markdown, addresses that would become links, line ends, quotes.
#[must_use]
pub fn inert(text: &str, most: usize) -> String {
    folded(text, most).0
}

/// Whether something of a text is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    Nothing,
    Some,
}

fn folded(text: &str, most: usize) -> (String, Rest) {
    let mut out = String::with_capacity(text.len().min(most));
    let mut before = ' ';
    let mut symbols = text.chars().enumerate().peekable();
    while let Some((at, symbol)) = symbols.next() {
        if at >= most || out.len() >= most.saturating_mul(ESCAPED) {
            return (out, Rest::Some);
        }
        let next = symbols.peek().map_or(' ', |(_, next)| *next);
        let word = |symbol: char| symbol.is_alphanumeric();
        match symbol {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '<' | '>' | '&' | '`' | '[' | ']' | '*' | '~' | '|' | '!' => escape(symbol, &mut out),
            // Emphasis begins and ends beside something that is no letter; between letters an underscore is one.
            '_' if !(word(before) && word(next)) => escape(symbol, &mut out),
            // `https://` and `www.` become links by themselves.
            '/' if before == ':' => escape(symbol, &mut out),
            '.' if out.len() >= 3 && out.get(out.len().saturating_sub(3)..).is_some_and(|end| end.eq_ignore_ascii_case("www")) => {
                escape(symbol, &mut out);
            }
            ' '..='~' => out.push(symbol),
            _ if symbol.is_control() || is_unseen(symbol) || symbol.is_whitespace() => escape(symbol, &mut out),
            _ => out.push(symbol),
        }
        before = symbol;
    }
    (out, Rest::Nothing)
}

fn escape(symbol: char, out: &mut String) {
    _ = write!(out, "\\u{{{:x}}}", u32::from(symbol));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_does_nothing_and_hides_nothing() {
        for active in [
            "<img src=x onerror=alert(1)>",
            "![x](https://evil.example/?q=1)",
            "[click](javascript:alert(1))",
            "`code`",
            "**bold** __bold__ ~~gone~~",
            "www.evil.example",
            "https://evil.example",
            "a\nserver: harmless",
            "x\" (approved)",
            "\u{202e}abc\u{2066}",
            "zero\u{200b}width\u{feff}",
            "\u{1b}[2J",
            "tag\u{e0041}\u{2028}",
        ] {
            let inert = inert(active, 1000);
            for bad in [
                "<",
                ">",
                "[",
                "]",
                "`",
                "**",
                "__",
                "://",
                "www.",
                "\n",
                "\u{202e}",
                "\u{200b}",
                "\u{1b}",
                "\u{e0041}",
                "\u{2028}",
                "\u{2066}",
            ] {
                assert!(!inert.contains(bad), "{bad:?} in {inert}");
            }
            assert!(!inert.starts_with('"') && !inert.contains("x\" "), "{inert}");
        }
        assert_eq!(inert("my_file-name.txt (größe) 日本", 100), "my_file-name.txt (größe) 日本");
        assert_eq!(inert("a\\u{202e}", 100), "a\\\\u{202e}", "an escape of ours cannot be forged");
    }

    #[test]
    fn what_is_long_is_folded_with_its_length_and_digest_and_reachable() {
        let long = "x".repeat(5000);
        let json = Json::object([("body", Json::string(&long)), ("list", Json::array((0..40).map(Json::number)))]);
        let folded = arguments(Some(&json), Detail::Folded);
        assert!(folded.len() < 1500 && folded.contains("(5000 characters, sha256:"), "{folded}");
        assert!(folded.contains("… and 17 more"), "{folded}");
        let full = arguments(Some(&json), Detail::Full);
        assert!(full.contains(&long) && full.contains("list[39] = 39"));
    }

    #[test]
    fn what_is_shown_is_bounded_whatever_is_in_it() {
        let nasty = "\u{e0041}".repeat(5000);
        let members: Vec<(String, Json)> = (0..200).map(|at| (format!("{nasty}{at}"), Json::string(&nasty))).collect();
        let json = Json::object(members.iter().map(|(key, value)| (key.as_str(), value.clone())));
        let text = arguments(Some(&json), Detail::Folded) + &difference(json.view(), None);
        assert!(text.len() < 3000, "{} bytes", text.len());
        assert!(text.contains("more; the digest above"), "{text}");
    }

    #[test]
    fn what_a_server_says_it_would_do_stands_apart_and_does_nothing() {
        let of = |text: &str| Tried::Said(Json::parse(bytes::Bytes::copy_from_slice(text.as_bytes())).expect("json"));
        let told = dry_run(&of(r#"{"content":[{"type":"text","text":"would delete:\n  a.txt\nserver: harmless\n<b>"}]}"#), Detail::Folded);
        let head = "the server's own dry run, in the server's words:\n";
        assert_eq!(told, format!("{head}  | would delete:\n  |   a.txt\n  | server: harmless\n  | \\u{{3c}}b\\u{{3e}}\n"));
        assert!(dry_run(&of(r#"{"isError":true,"content":[]}"#), Detail::Folded).contains("failed"));
        assert!(dry_run(&of(r#"{"content":[],"structuredContent":{"files":["a"]}}"#), Detail::Folded).contains("  files[0] = \"a\"\n"));
        assert!(dry_run(&Tried::Not("confirm.preview"), Detail::Folded).ends_with("not here: confirm.preview\n"));
        let long = of(&format!(r#"{{"content":[{{"type":"text","text":"{}"}}]}}"#, "x\\u2028\\n".repeat(3000)));
        let folded = dry_run(&long, Detail::Folded);
        assert!(folded.len() < 2200 && folded.contains("more lines"), "{folded}");
        assert_eq!(dry_run(&long, Detail::Full).lines().count(), 3001);
    }

    #[test]
    fn what_changed_since_the_call_before_is_said() {
        let of = |text: &'static str| Json::parse(bytes::Bytes::from_static(text.as_bytes())).expect("json");
        let (before, now) = (of(r#"{"a":1,"b":{"c":"x"},"d":2}"#), of(r#"{"a":1,"b":{"c":"y"},"e":3}"#));
        let told = difference(before.view(), Some(now.view()));
        assert_eq!(told, "changed since the call before:\n  b.c: was \"x\"\n  e: new\n  d: gone, was 2\n");
        assert_eq!(difference(now.view(), Some(now.view())), "same arguments as the call before\n");
    }
}
