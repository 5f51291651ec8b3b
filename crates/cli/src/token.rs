//! `bartizan token`: client credentials.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use bartizan_gateway::clock;
use bartizan_gateway::config::{Places, PlacesArgs};
use bartizan_gateway::identity::{Issued, Purpose, Row, Standing, StoreError, Tokens, Wish};
use bartizan_monitor::case::{Effect, Reach};
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::format::Format;
use crate::paint::visible;

/// Manage the credentials of clients that come over HTTP.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Issue a token. Standard output is the token and nothing else; it is shown this one time.
    #[command(
        after_help = "Examples:\n  bartizan token issue --label ci\n  bartizan token issue --label laptop --expires 30d --server files --server git\n  bartizan token issue --label reports --effect read\n  bartizan token issue --label ann --approver --same user:ann"
    )]
    Issue {
        /// Whom it is for.
        #[arg(long)]
        label: String,
        /// How long it is good.
        #[arg(long, value_name = "TIME", value_parser = clock::read_duration, default_value = "90d")]
        expires: Duration,
        /// A server that it is good for; may be given several times. Default: all.
        #[arg(long = "server", value_name = "SERVER")]
        servers: Vec<String>,
        /// The gravest effect that a tool may have: read, write or destructive. Tools beyond it are
        /// not there for the client.
        #[arg(long, value_name = "CLASS", value_parser = effect, default_value = "destructive")]
        effect: Effect,
        /// The environment that it is for, as the configuration names it. It is good in no other.
        #[arg(long, value_name = "NAME")]
        environment: Option<String>,
        /// For a person who answers what waits (docs/confirmation.md). No client is let in with it, and it answers
        /// calls of the servers and effects that it is for.
        #[arg(long)]
        approver: bool,
        /// A principal that is the same person, as the journal names it: its calls are this person's own. May be given
        /// several times. Principals with the same label are the same person anyway.
        #[arg(long = "same", value_name = "PRINCIPAL", requires = "approver")]
        same: Vec<String>,
    },
    /// List the tokens. Their secrets are not known to the gateway either.
    #[command(after_help = "Example:\n  bartizan token list --format json")]
    List {
        /// How to print it.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Issue a new token in the place of another, which stays good for a while.
    #[command(after_help = "Example:\n  bartizan token rotate 1f3a9c04 --overlap 2h")]
    Rotate {
        /// The token's id.
        id: String,
        /// How long the old one stays good.
        #[arg(long, value_name = "TIME", value_parser = clock::read_duration, default_value = "1h")]
        overlap: Duration,
    },
    /// End a token, or all tokens of a label. Works on the next message, in running sessions too.
    #[command(after_help = "Examples:\n  bartizan token revoke 1f3a9c04\n  bartizan token revoke ci")]
    Revoke {
        /// The token's id, or a label.
        #[arg(value_name = "ID|LABEL")]
        name: String,
    },
}

/// Manages tokens.
pub(crate) fn main(args: &Args, places: &PlacesArgs) -> Exit {
    let state = match Places::find(places, None) {
        Ok(places) => places.state,
        Err(error) => return Exit::usage(&error),
    };
    let done = Tokens::open(&state).and_then(|tokens| manage(&args.command, &tokens, clock::now_ms()));
    match done {
        Ok(printed) => printed.map_or_else(|error| Exit::output(&error), |()| Exit::Done),
        Err(error @ (StoreError::File { .. } | StoreError::Random)) => Exit::environment(&error),
        Err(error @ (StoreError::Label(_) | StoreError::Lifetime | StoreError::Unknown(_) | StoreError::Over(_))) => Exit::usage(&error),
    }
}

fn manage(command: &Command, tokens: &Tokens, now_ms: u64) -> Result<io::Result<()>, StoreError> {
    match command {
        Command::Issue { label, expires, servers, effect, environment, approver, same } => {
            let servers: BTreeSet<String> = servers.iter().cloned().collect();
            let reach = Reach { servers: Some(servers).filter(|servers| !servers.is_empty()).map(Arc::new), most: *effect };
            let purpose = if *approver { Purpose::Approver(same.iter().cloned().collect()) } else { Purpose::Client };
            let wish = Wish { label: label.clone(), lifetime: *expires, reach, environment: environment.clone(), purpose };
            let issued = tokens.issue(&wish, now_ms)?;
            Ok(show(&issued))
        }
        Command::List { format } => Ok(list(&tokens.list()?, &tokens.used(), *format, now_ms)),
        Command::Rotate { id, overlap } => {
            let issued = tokens.rotate(id, *overlap, now_ms)?;
            eprintln!("Token {id} stays good for {}.", clock::duration(*overlap));
            Ok(show(&issued))
        }
        Command::Revoke { name } => {
            let ended = tokens.revoke(name, now_ms)?;
            let out = ended.iter().try_for_each(|row| writeln!(io::stdout(), "Revoked token {} of {}.", row.id, row.label));
            Ok(out)
        }
    }
}

fn show(issued: &Issued) -> io::Result<()> {
    let row = &issued.row;
    eprintln!("Token {} for {}: good until {}, for {}.", row.id, row.label, clock::utc(row.expires_ms), reach(row));
    let how = match row.purpose {
        Purpose::Client => "The client sends it as `Authorization: Bearer TOKEN`.",
        Purpose::Approver(_) => "Its holder logs in with it where `bartizan approvals web` says. Keep it where no agent can read it.",
    };
    eprintln!("It is shown this one time. {how}");
    writeln!(io::stdout(), "{}", issued.text.expose())
}

fn effect(text: &str) -> Result<Effect, String> {
    Effect::read(text).ok_or_else(|| format!("{text:?} is not read, write or destructive"))
}

/// What a token is good for, in words.
fn reach(row: &Row) -> String {
    let all = || "all servers".to_owned();
    let named = |servers: &Arc<BTreeSet<String>>| servers.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let mut text = row.reach.servers.as_ref().map_or_else(all, named);
    match row.reach.most {
        Effect::Destructive => {}
        Effect::Write => text.push_str("; nothing destructive"),
        Effect::Read => text.push_str("; read only"),
    }
    if let Some(environment) = &row.environment {
        text.push_str(&format!("; in {environment}"));
    }
    match &row.purpose {
        Purpose::Client => text,
        Purpose::Approver(same) if same.is_empty() => format!("answering what waits: {text}"),
        Purpose::Approver(same) => {
            let same = same.iter().map(|name| visible(name)).collect::<Vec<_>>().join(", ");
            format!("answering what waits: {text}; the same person as {same}")
        }
    }
}

const fn standing(row: &Row, now_ms: u64) -> &'static str {
    match row.standing(now_ms) {
        Standing::Good => "good",
        Standing::Expired => "expired",
        Standing::Revoked => "revoked",
    }
}

fn list(rows: &[Row], used: &BTreeMap<String, u64>, format: Format, now_ms: u64) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if format == Format::Json {
        let entry = |row: &Row| {
            json!({"id": row.id.to_string(), "label": row.label, "standing": standing(row, now_ms), "created": clock::utc(row.created_ms),
                "expires": clock::utc(row.expires_ms), "revoked": row.revoked_ms.map(clock::utc), "servers": row.reach.servers, "effect": row.reach.most.name(),
                "environment": row.environment, "approver": matches!(row.purpose, Purpose::Approver(_)), "used": used.get(&row.id.to_string()).copied().map(clock::utc)})
        };
        return writeln!(out, "{}", Value::from(rows.iter().map(entry).collect::<Vec<_>>()));
    }
    if rows.is_empty() {
        return writeln!(out, "There are no tokens. Issue one: bartizan token issue --label NAME");
    }
    let width = rows.iter().map(|row| row.label.len()).max().unwrap_or_default().max(5);
    writeln!(out, "{:<8}  {:<width$}  {:<8}  {:<24}  {:<24}  GOOD FOR", "ID", "LABEL", "STANDING", "GOOD UNTIL", "LAST USED")?;
    for row in rows {
        writeln!(
            out,
            "{:<8}  {:<width$}  {:<8}  {:<24}  {:<24}  {}",
            row.id.to_string(),
            row.label,
            standing(row, now_ms),
            clock::utc(row.expires_ms),
            used.get(&row.id.to_string()).map_or_else(|| "never".to_owned(), |at| clock::utc(*at)),
            reach(row)
        )?;
    }
    Ok(())
}
