//! What a person sees of what a server asked for. All of it was chosen by the server, and is shown inert.

use std::io::{self, BufRead as _, Write};
use std::path::{Path, PathBuf};

use bartizan_gateway::learn::{self, Book, Item, Key};
use bartizan_gateway::review::Line;

use crate::paint::{Paint, visible, visible_text};

/// Where it is shown.
pub(super) struct Screen<W> {
    out: W,
    paint: Paint,
    home: Option<PathBuf>,
}

/// One item in words.
pub(super) fn words(item: &Item, home: Option<&Path>) -> String {
    let value = visible(&learn::shown(&item.value, home));
    let does = match item.key {
        Key::Read => "reads",
        Key::Write => "writes",
        Key::Run => "runs",
        Key::Hosts => "connects to",
    };
    let what = match &item.overreach {
        Some(words) if item.key == Key::Read => format!("asks for {words}: {value}"),
        Some(words) => format!("asks for {words}: {does} {value}"),
        None => format!("{does} {value}"),
    };
    item.note.as_ref().map_or_else(|| what.clone(), |note| format!("{what} ({})", visible(note)))
}

impl<W: Write> Screen<W> {
    pub(super) fn new(out: W, home: Option<PathBuf>) -> Self {
        Self { out, paint: Paint::for_stdout(), home }
    }

    pub(super) fn say(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{}", visible_text(text))
    }

    /// The line that begins a server.
    pub(super) fn server(&mut self, name: &str, book: &Book, items: &[Item]) -> io::Result<()> {
        let what = if items.is_empty() { "asked for nothing that it does not have" } else { "asked for, and did not get" };
        writeln!(self.out, "{}: {what}", self.paint.bold(name))?;
        if book.missed > 0 {
            let what = format!("asks for more than can be recorded: {} more", book.missed);
            writeln!(self.out, "  ! {}", self.paint.bad(&what))?;
        }
        Ok(())
    }

    pub(super) fn item(&mut self, item: &Item) -> io::Result<()> {
        let words = words(item, self.home.as_deref());
        let why = match (item.grantable, item.declined) {
            (false, _) => " — cannot be given",
            (true, true) => " — refused before",
            (true, false) => "",
        };
        if item.overreach.is_some() {
            writeln!(self.out, "  ! {}{why}", self.paint.bad(&words))
        } else {
            writeln!(self.out, "  - {words}{why}")
        }
    }

    /// Whether a person gives it. No answer is no, and overreach takes the whole word.
    pub(super) fn ask(&mut self, item: &Item) -> io::Result<bool> {
        let question = if item.overreach.is_some() { "    give it that? yes / [N]o: " } else { "    give it that? [y]es, [n]o: " };
        loop {
            self.out.write_all(question.as_bytes())?;
            self.out.flush()?;
            let mut answer = String::new();
            let length = io::stdin().lock().read_line(&mut answer)?;
            match answer.trim().to_lowercase().as_str() {
                "yes" => return Ok(true),
                "y" if item.overreach.is_none() => return Ok(true),
                "n" | "no" => return Ok(false),
                "" if length == 0 || item.overreach.is_some() => return Ok(false),
                _ => {}
            }
        }
    }

    /// The difference to the configuration.
    pub(super) fn change(&mut self, path: &Path, lines: &[Line]) -> io::Result<()> {
        let path = visible_text(&path.display().to_string());
        writeln!(self.out, "--- {path}\n+++ {path}")?;
        for line in lines {
            match line {
                Line::Kept(text) => writeln!(self.out, " {}", visible_text(text))?,
                Line::Gone(text) => writeln!(self.out, "{}", self.paint.bad(&format!("-{}", visible_text(text))))?,
                Line::Came(text) => writeln!(self.out, "{}", self.paint.good(&format!("+{}", visible_text(text))))?,
            }
        }
        Ok(())
    }

    /// The options to add, where no configuration names the server.
    pub(super) fn options(&mut self, name: &str, options: &[String]) -> io::Result<()> {
        writeln!(self.out, "No configuration names {}. Add to its `bartizan run`, before `--`:", visible(name))?;
        options.iter().try_for_each(|option| writeln!(self.out, "  {}", visible_text(option)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_chose_forges_no_line() {
        let item = Item {
            key: Key::Read,
            value: "/home/me/.ssh/id\n  - reads /nothing\u{1b}[2K\u{202e}".to_owned(),
            overreach: Some("your SSH keys".to_owned()),
            note: None,
            grantable: true,
            declined: false,
        };
        let mut out = Vec::new();
        let mut screen = Screen { out: &mut out, paint: Paint::for_stdout(), home: Some("/home/me".into()) };
        screen.item(&item).expect("written");
        screen.change(Path::new("/x"), &[Line::Came("a\u{1b}b\u{202e}".to_owned())]).expect("written");
        let text = String::from_utf8(out).expect("text");
        assert!(text.starts_with("  ! asks for your SSH keys: ~/.ssh/id\\u{a}  - reads /nothing\\u{1b}[2K\\u{202e}\n--- /x\n"), "{text}");
        assert!(text.ends_with("+a\\u{1b}b\\u{202e}\n"), "{text}");
    }
}
