//! `bartizan audit`: the journal, for auditors and SIEMs.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use bartizan_gateway::config::{Places, PlacesArgs};
use bartizan_gateway::journal::read::{self, Lines, Tail, Verified};
use bartizan_monitor::wire::canonical::Digest;
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::format::Format;

/// Verify and export the journal.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Check that no line of any file was changed, removed or inserted.
    ///
    /// Exits with 20 when one was. Note the heads elsewhere: with `--head`, a file that was cut or
    /// replaced since then shows, too.
    #[command(after_help = "Examples:\n  bartizan audit verify\n  bartizan audit verify --head sha256:5f4d…")]
    Verify {
        /// A head that was noted earlier and must still be in the journal. May be given several times.
        #[arg(long = "head", value_name = "DIGEST", value_parser = digest)]
        heads: Vec<Digest>,
        /// How to print it.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Print all lines of all files as they are: JSON, one object per line, the oldest file first.
    #[command(after_help = "Example:\n  bartizan audit export > journal.jsonl")]
    Export,
}

fn digest(text: &str) -> Result<Digest, &'static str> {
    Digest::read(text).ok_or("a head is `sha256:` and 64 hexadecimal digits")
}

/// Verifies or exports.
pub(crate) fn main(args: &Args, places: &PlacesArgs) -> Exit {
    let state = match Places::find(places, None) {
        Ok(places) => places.state,
        Err(error) => return Exit::usage(&error),
    };
    let unreadable = |error: io::Error| Exit::environment(&format!("the journal in {} cannot be read: {error}", state.display()));
    let files = match read::all(&state) {
        Ok(files) => files,
        Err(error) => return unreadable(error),
    };
    match &args.command {
        Command::Verify { heads, format } => match files.iter().map(|path| verify(path, heads)).collect::<io::Result<Vec<Checked>>>() {
            Ok(checked) => report(&checked, heads, *format),
            Err(error) => unreadable(error),
        },
        Command::Export => export(&files),
    }
}

/// One file, judged.
struct Checked {
    path: PathBuf,
    live: bool,
    found: Verified,
    problem: Option<String>,
}

fn verify(path: &Path, heads: &[Digest]) -> io::Result<Checked> {
    // Asked first: a file that ends while it is read was alive at its last line.
    let live = read::is_live(path)?;
    let found = read::verify(path, heads)?;
    let cut = matches!(found.tail, Tail::Cut(_)) && !live;
    let problem = match &found.broken {
        Some(broken) => Some(format!("{}:{}: {}", path.display(), broken.line, broken.what)),
        None if cut => {
            let line = found.summary.lines.saturating_add(1);
            Some(format!(
                "{}:{line}: the last line is cut off, as by a crash; the next start of a gateway closes what a crash left open",
                path.display()
            ))
        }
        None => None,
    };
    Ok(Checked { path: path.to_owned(), live, found, problem })
}

fn report(checked: &[Checked], heads: &[Digest], format: Format) -> Exit {
    let lost: Vec<&Digest> = heads.iter().filter(|head| !checked.iter().any(|file| file.found.met.contains(head))).collect();
    let printed = match format {
        Format::Json => print_json(checked, &lost),
        Format::Text => print_text(checked),
    };
    for problem in checked.iter().filter_map(|file| file.problem.as_ref()) {
        eprintln!("bartizan: {problem}");
    }
    for head in &lost {
        eprintln!("bartizan: no line of the journal has the digest {head}: what was written before it is not what is there now");
    }
    let good = lost.is_empty() && checked.iter().all(|file| file.problem.is_none());
    match printed {
        Err(error) => Exit::output(&error),
        Ok(()) if good => Exit::Done,
        Ok(()) => Exit::Broken,
    }
}

fn state(file: &Checked) -> &'static str {
    match (file.live, file.found.ended, file.problem.is_some()) {
        (_, _, true) => "broken",
        (true, _, _) => "in use",
        (false, true, _) => "ended",
        (false, false, _) => "interrupted",
    }
}

fn print_text(checked: &[Checked]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let name = |file: &Checked| file.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    for file in checked {
        let found = &file.found.summary;
        writeln!(
            out,
            "{}  {}: {} lines, {} closed, {} refused, {} open, head {}",
            name(file),
            state(file),
            found.lines,
            found.closed,
            found.refused,
            found.open.len(),
            file.found.chain.head()
        )?;
    }
    if checked.is_empty() {
        return writeln!(out, "There is no journal yet: no gateway has run with this state directory.");
    }
    let sum = |part: fn(&Checked) -> u64| checked.iter().map(part).fold(0, u64::saturating_add);
    let good = checked.iter().filter(|file| file.problem.is_none()).count();
    let open = checked.iter().map(|file| file.found.summary.open.len()).sum::<usize>();
    writeln!(
        out,
        "{good} of {} files verify: {} lines, {} closed, {} refused, {open} open",
        checked.len(),
        sum(|file| file.found.summary.lines),
        sum(|file| file.found.summary.closed),
        sum(|file| file.found.summary.refused)
    )
}

fn print_json(checked: &[Checked], lost: &[&Digest]) -> io::Result<()> {
    let entry = |file: &Checked| {
        let found = &file.found.summary;
        json!({"file": file.path, "state": state(file), "lines": found.lines, "closed": found.closed, "refused": found.refused,
            "open": found.open, "head": file.found.chain.head().to_string(), "problem": file.problem})
    };
    let files: Vec<Value> = checked.iter().map(entry).collect();
    let lost: Vec<String> = lost.iter().map(ToString::to_string).collect();
    writeln!(io::stdout(), "{}", json!({"files": files, "lost": lost}))
}

fn export(files: &[PathBuf]) -> Exit {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for path in files {
        let mut lines = match Lines::open(path) {
            Ok(lines) => lines,
            Err(error) => return Exit::environment(&format!("{} cannot be read: {error}", path.display())),
        };
        loop {
            let line = match lines.next_line() {
                Ok(Some(line)) => line,
                Ok(None) => break,
                Err(error) => return Exit::environment(&format!("{} cannot be read: {error}", path.display())),
            };
            if let Err(error) = out.write_all(&line).and_then(|()| out.write_all(b"\n")) {
                return Exit::output(&error);
            }
        }
    }
    out.flush().map_or_else(|error| Exit::output(&error), |()| Exit::Done)
}
