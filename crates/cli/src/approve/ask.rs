//! What a person sees of a review, and says to it.

use std::io::{self, BufRead as _, Write};

use bartizan_gateway::review::{Change, Line, What};
use bartizan_monitor::case::{Effect, Kind};
use bartizan_monitor::controls::schema;

use crate::paint::{Paint, show, visible};

/// What a person said to one change.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Word {
    Yes(Effect),
    No,
}

/// Where the review is shown.
pub(super) struct Screen<W> {
    out: W,
    paint: Paint,
}

impl<W: Write> Screen<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, paint: Paint::for_stdout() }
    }

    pub(super) fn say(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{}", visible(text))
    }

    /// A definition that cannot be approved.
    pub(super) fn rejected(&mut self, change: &Change, why: &str) -> io::Result<()> {
        writeln!(self.out, "  ! {} {}: {why}; it cannot be approved", change.kind.name(), visible(&change.name))
    }

    /// What is new in what a server is made of.
    pub(super) fn artefacts(&mut self, server: &str, lines: &[Line]) -> io::Result<()> {
        writeln!(self.out, "{}: what it is made of", visible(server))?;
        if lines.is_empty() {
            writeln!(self.out, "  nothing that is pinned any more")?;
        }
        lines.iter().try_for_each(|line| writeln!(self.out, "    {}", show(line, &self.paint)))
    }

    /// Asks whether a server may be made of what was shown. No answer is no.
    pub(super) fn ask_artefacts(&mut self, server: &str) -> io::Result<bool> {
        self.ask_yes(&format!("  start {server} and approve what it is made of? [y]es, [n]o: "))
    }

    /// A change, with the effect class that it would get.
    pub(super) fn change(&mut self, change: &Change, effect: Effect) -> io::Result<()> {
        let sign = match change.what {
            What::New(_) => "+",
            What::Changed(..) => "~",
            What::Removed(_) => "-",
            What::Same(_) | What::Rejected(_) => " ",
        };
        let class = if change.kind == Kind::Tool { format!("  [{effect}]") } else { String::new() };
        writeln!(self.out, "  {sign} {} {}{}", change.kind.name(), self.paint.bold(&change.name), self.paint.effect(effect, &class))?;
        for line in change.lines() {
            writeln!(self.out, "    {}", show(&line, &self.paint))?;
        }
        if let What::New(definition) | What::Changed(_, definition) = &change.what
            && change.kind == Kind::Tool
            && let Err(why) = schema::compiles(&definition.json)
        {
            writeln!(self.out, "    ! its schema does not compile, so no call of it will pass: {why}")?;
        }
        match &change.what {
            What::Same(pin) => writeln!(self.out, "    approved as {} until now", pin.effect)?,
            What::Removed(_) => writeln!(self.out, "    the server does not offer it any more; yes takes it out of the lock file")?,
            What::New(_) | What::Changed(..) | What::Rejected(_) => {}
        }
        let proposed = change.effect();
        if effect < proposed {
            writeln!(
                self.out,
                "    ! {}",
                self.paint.bad(&format!("its name, its hints or the last review say {proposed}; this would make it {effect}"))
            )?;
        }
        Ok(())
    }

    /// Asks about one change. No answer is no.
    pub(super) fn ask(&mut self, effect: Effect) -> io::Result<Word> {
        loop {
            let answer = self.answer(&format!("    approve? [y]es as {effect}, [n]o, as [r]ead / [w]rite / [d]estructive: "))?;
            match answer.as_deref() {
                Some("y" | "yes") => return Ok(Word::Yes(effect)),
                Some("r" | "read") => return Ok(Word::Yes(Effect::Read)),
                Some("w" | "write") => return Ok(Word::Yes(Effect::Write)),
                Some("d" | "destructive") => return Ok(Word::Yes(Effect::Destructive)),
                Some("n" | "no") | None => return Ok(Word::No),
                Some(_) => {}
            }
        }
    }

    /// Asks about everything of a server at once.
    pub(super) fn ask_all(&mut self, count: usize, server: &str) -> io::Result<bool> {
        self.ask_yes(&format!("  approve all {count} of {server} as shown? [y]es, [n]o: "))
    }

    fn ask_yes(&mut self, question: &str) -> io::Result<bool> {
        loop {
            let answer = self.answer(question)?;
            match answer.as_deref() {
                Some("y" | "yes") => return Ok(true),
                Some("n" | "no") | None => return Ok(false),
                Some(_) => {}
            }
        }
    }

    fn answer(&mut self, question: &str) -> io::Result<Option<String>> {
        self.out.write_all(question.as_bytes())?;
        self.out.flush()?;
        let mut answer = String::new();
        let length = io::stdin().lock().read_line(&mut answer)?;
        Ok((length > 0).then(|| answer.trim().to_lowercase()))
    }
}
