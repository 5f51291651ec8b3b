//! `bartizan approvals allow`, `allowed` and `withdraw`: yeses in advance.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::time::Duration;

use bartizan_gateway::clock;
use bartizan_gateway::consult::line::Line;
use bartizan_monitor::wire::json::Json;

use super::{ask, credential, lines_of, number, question, text};
use crate::exit::Exit;
use crate::format::Format;
use crate::paint::visible;

/// What is agreed to in advance.
#[derive(Debug, clap::Args)]
pub(super) struct Allow {
    /// The tool, as SERVER/TOOL.
    tool: String,
    /// Whose calls: a principal as `approvals list` shows it; the number of a token does not matter.
    #[arg(long, value_name = "PRINCIPAL")]
    client: String,
    /// What an argument must be: NAME=VALUE, NAME^=BEGINNING, or NAME=* for anything. May be given several times. An
    /// argument that is not named must not be there.
    #[arg(long = "where", value_name = "BOUND")]
    bounds: Vec<String>,
    /// For how long: 1h at most for what destroys, 8h otherwise.
    #[arg(long = "for", value_name = "TIME", value_parser = clock::read_duration, default_value = "15min")]
    lasts: Duration,
    /// How many calls: 20 at most for what destroys, 100 otherwise.
    #[arg(long, value_name = "NUMBER", default_value_t = 5)]
    times: u32,
    /// Do not ask again after showing it.
    #[arg(long)]
    yes: bool,
    /// A credential of whoever agrees. `-` reads it from standard input.
    #[arg(long = "as", value_name = "TOKEN", env = "BARTIZAN_AS", hide_env_values = true)]
    by: Option<String>,
}

impl Allow {
    fn question(&self, token: &str, only_try: Try) -> Result<Json, Exit> {
        let (server, tool) = self.tool.split_once('/').ok_or_else(|| Exit::usage("a tool is named SERVER/TOOL"))?;
        let bounds = Json::array(self.bounds.iter().map(|bound| Json::string(bound)));
        Ok(Json::object([
            ("ask", Json::string("allow")),
            ("server", Json::string(server)),
            ("tool", Json::string(tool)),
            ("client", Json::string(&self.client)),
            ("where", bounds),
            ("for_ms", Json::number(clock::millis(self.lasts))),
            ("times", Json::number(self.times.into())),
            ("token", Json::string(token)),
            ("try", Json::of(&(only_try == Try::Only))),
        ]))
    }
}

/// Whether it is only judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Try {
    Only,
    No,
}

/// Agrees in advance, at every gateway that runs.
pub(super) fn allow(lines: &[Line], wish: &Allow) -> Result<Exit, Exit> {
    let token = credential(wish.by.as_deref())?;
    let Some(first) = lines.first() else {
        eprintln!("bartizan: no gateway runs over this state directory.");
        return Ok(Exit::Findings);
    };
    let seen = ask(first, &wish.question(&token, Try::Only)?)?;
    eprint!("{}", lines_of(&text(seen.view(), "text")));
    if lines.len() > 1 {
        eprintln!("{} gateways run over this state directory: so often at each.", lines.len());
    }
    if !wish.yes {
        if !io::stdin().is_terminal() {
            return Err(Exit::usage("nobody is there to be asked: say --yes"));
        }
        eprint!("Send such calls without asking? [y]es, [n]o: ");
        let mut said = String::new();
        io::stdin().lock().read_line(&mut said).map_err(|error| Exit::environment(&error))?;
        if !matches!(said.trim(), "y" | "yes") {
            eprintln!("Not agreed to.");
            return Ok(Exit::Findings);
        }
    }
    for line in lines {
        let done = ask(line, &wish.question(&token, Try::No)?)?;
        let (id, by) = (text(done.view(), "id"), text(done.view(), "by"));
        writeln!(io::stdout(), "Agreed in advance: {}, by {} ({}).", visible(&id), visible(&by), visible(&text(done.view(), "assurance")))
            .map_err(|error| Exit::output(&error))?;
    }
    Ok(Exit::Done)
}

/// What is agreed to in advance, everywhere.
fn all(lines: &[Line]) -> Vec<(&Line, Json)> {
    let mut found = Vec::new();
    for line in lines {
        // One that ends in this moment has nothing that is agreed to.
        let Ok(answer) = line.ask(&question(&[("ask", "allowed")])) else { continue };
        let allowed = answer.get("allowed").unwrap_or_else(Json::null);
        found.extend(allowed.view().items().map(|one| (line, allowed.share(one))));
    }
    found
}

/// Lists it.
pub(super) fn allowed(lines: &[Line], format: Format) -> Result<Exit, Exit> {
    let found = all(lines);
    let mut out = io::stdout().lock();
    let printed = match format {
        Format::Json => writeln!(out, "{}", Json::object([("allowed", Json::array(found.iter().map(|(_, one)| one.clone())))])),
        Format::Text if found.is_empty() => writeln!(out, "Nothing is agreed to in advance."),
        Format::Text => found.iter().try_for_each(|(_, one)| {
            let one = one.view();
            let (id, by, left) = (visible(&text(one, "id")), visible(&text(one, "by")), number(one, "left"));
            writeln!(out, "{id}  by {by}  {left} calls left\n{}", lines_of(&text(one, "text")))
        }),
    };
    printed.map_or_else(|error| Err(Exit::output(&error)), |()| Ok(Exit::Done))
}

/// Takes one back.
pub(super) fn withdraw(lines: &[Line], id: &str) -> Result<Exit, Exit> {
    let mut fits: Vec<_> = all(lines).into_iter().filter(|(_, one)| !id.is_empty() && text(one.view(), "id").starts_with(id)).collect();
    let Some((line, one)) = fits.pop().filter(|_| fits.is_empty()) else {
        return Err(Exit::usage("no one thing of that name is agreed to in advance; `bartizan approvals allowed` lists what is"));
    };
    ask(line, &question(&[("ask", "withdraw"), ("id", &text(one.view(), "id"))]))?;
    writeln!(io::stdout(), "Withdrawn.").map_or_else(|error| Err(Exit::output(&error)), |()| Ok(Exit::Done))
}
