//! What a person sees of a review, and says to it.

use std::io::{self, BufRead as _, Write};

use bartizan_gateway::review::{Change, Finding, Group, Line, What};
use bartizan_monitor::case::{Effect, Kind};
use bartizan_monitor::controls::{output, schema};

use crate::paint::{Paint, show, visible};
use crate::words::{self, noted, told, was};

/// What a person said to one change.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// This one, with this class; of a group: one by one.
    Yes(Effect),
    /// All of a group, as shown.
    All,
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

    /// Says which packages' install scripts were not run.
    pub(super) fn left_out(&mut self, server: &str, packages: &[String]) -> io::Result<()> {
        if packages.is_empty() {
            return Ok(());
        }
        writeln!(self.out, "{}: install scripts were not run: {}", visible(server), visible(&packages.join(", ")))?;
        writeln!(self.out, "  Most servers work without them. If this one does not, see `dangerous.allow_scripts`.")
    }

    /// Asks whether a server may be made of what was shown. No answer is no.
    pub(super) fn ask_artefacts(&mut self, server: &str) -> io::Result<bool> {
        self.ask_yes(&format!("  start {server} and approve what it is made of? [y]es, [n]o: "))
    }

    /// A change, with the effect class that it would get.
    pub(super) fn change(&mut self, change: &Change, effect: Effect, group: &Group<'_>) -> io::Result<()> {
        self.name(change, effect)?;
        for line in told(group, &self.paint) {
            writeln!(self.out, "    {line}")?;
        }
        for line in change.lines() {
            writeln!(self.out, "    {}", show(&line, &self.paint))?;
        }
        if let Some(definition) = change.offered()
            && change.kind == Kind::Tool
            && let Err(why) = schema::compiles(&definition.json).and_then(|()| output::compiles(&definition.json))
        {
            writeln!(self.out, "    ! its schema does not compile, so no call of it will pass: {why}")?;
        }
        if let Some(said) = noted(change) {
            writeln!(self.out, "    {said}")?;
        }
        match &change.what {
            What::Same(pin) => writeln!(self.out, "    approved as {} until now", pin.effect)?,
            What::Removed(_) => writeln!(self.out, "    the server does not offer it any more; yes takes it out of the lock file")?,
            What::New(_) | What::Changed(..) | What::Renamed(..) | What::Rejected(_) => {}
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

    /// The line that begins a change.
    pub(super) fn name(&mut self, change: &Change, effect: Effect) -> io::Result<()> {
        let sign = match change.what {
            What::New(_) => "+",
            What::Changed(..) | What::Renamed(..) => "~",
            What::Removed(_) => "-",
            What::Same(_) | What::Rejected(_) => " ",
        };
        let class = if change.kind == Kind::Tool { format!("  [{effect}]") } else { String::new() };
        let (bold, class) = (self.paint.bold(&change.name), self.paint.effect(effect, &class));
        writeln!(self.out, "  {sign} {} {bold}{class}{}", change.kind.name(), was(change))
    }

    /// The other definitions of a group, each with the lines that differ.
    pub(super) fn others(&mut self, others: &[(&Change, Effect)]) -> io::Result<()> {
        if !others.is_empty() {
            writeln!(self.out, "    The same edit in {} more:", others.len())?;
        }
        for (change, effect) in others {
            self.name(change, *effect)?;
            for line in change.lines().iter().filter(|line| !matches!(line, Line::Kept(_))) {
                writeln!(self.out, "    {}", show(line, &self.paint))?;
            }
        }
        Ok(())
    }

    /// Texts that came to several definitions, one after the other: who reads them apart may miss what
    /// they say together.
    pub(super) fn together(&mut self, texts: &[(&str, &str)]) -> io::Result<()> {
        if !texts.is_empty() {
            writeln!(self.out, "  Text that came, over all definitions:")?;
        }
        texts.iter().try_for_each(|(name, text)| writeln!(self.out, "    {}: {}", visible(name), visible(text)))
    }

    /// What the scanner says.
    pub(super) fn noticed(&mut self, findings: &[Finding], head: &str) -> io::Result<()> {
        words::noticed(findings, head, &self.paint).iter().try_for_each(|line| writeln!(self.out, "    {line}"))
    }

    /// Names of other servers that are the same, or nearly.
    pub(super) fn near(&mut self, names: &[String]) -> io::Result<()> {
        words::near(names).iter().try_for_each(|line| writeln!(self.out, "    {line}"))
    }

    /// Asks about a group of the same edit.
    pub(super) fn ask_group(&mut self, count: usize) -> io::Result<Word> {
        loop {
            let answer = self.answer(&format!("    approve all {count} as shown? [y]es, [n]o, [o]ne by one: "))?;
            match answer.as_deref() {
                Some("y" | "yes") => return Ok(Word::All),
                Some("o" | "one") => return Ok(Word::Yes(Effect::Destructive)),
                Some("n" | "no") | None => return Ok(Word::No),
                Some(_) => {}
            }
        }
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
