//! `bartizan demo`: a tour without set-up. Everything in it is real: this program as a gateway, a
//! small server behind it, and messages over their pipes and sockets.

mod player;
pub(crate) mod server;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bartizan_gateway::config::files;
use player::{Gateway, Http};
use serde_json::{Value, json};

/// What can go wrong on the tour: always the environment, never the visitor.
type Trouble = Box<dyn std::error::Error>;

/// Where the tour takes place; removed at its end.
struct Stage {
    folder: PathBuf,
}

impl Stage {
    fn set() -> std::io::Result<Self> {
        let folder = std::env::temp_dir().join(format!("bartizan-demo-{}", std::process::id()));
        // Refused when somebody else made a folder of this name before us.
        files::private_directory(&folder)?;
        let stage = Self { folder };
        files::private_directory(&stage.server())?;
        Ok(stage)
    }

    /// All that the server may see of this machine, beside its program.
    fn server(&self) -> PathBuf {
        self.folder.join("server")
    }

    fn turned(&self) -> PathBuf {
        self.server().join("turned")
    }

    fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    fn lock(&self) -> PathBuf {
        self.folder.join("bartizan.lock")
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        player::clear(&self.folder);
    }
}

/// Plays the tour.
pub(crate) fn main() -> ExitCode {
    match tour() {
        Ok(surprises) if surprises.is_empty() => ExitCode::SUCCESS,
        Ok(surprises) => {
            eprintln!("\nThis was not expected: {}", surprises.join("; "));
            ExitCode::from(1)
        }
        Err(trouble) => {
            eprintln!("\nThe demo could not go on: {trouble}");
            ExitCode::from(3)
        }
    }
}

/// Prints one scene and notes when it did not end as it should.
struct Scenes {
    count: usize,
    surprises: Vec<String>,
}

impl Scenes {
    fn show(&mut self, what: &str, outcome: &Outcome, expected: &str) {
        self.count += 1;
        println!("{:>3}. {what}", self.count);
        println!("     {outcome}");
        if outcome.code() != expected {
            println!("     (expected: {expected})");
            self.surprises.push(format!("scene {} ended with {}", self.count, outcome.code()));
        }
    }
}

/// How a scene ended, as the client saw it.
enum Outcome {
    Passed(String),
    Refused { code: String, hint: String },
}

impl Outcome {
    fn code(&self) -> &str {
        match self {
            Self::Passed(_) => "passed",
            Self::Refused { code, .. } => code,
        }
    }

    /// Reads a JSON-RPC answer.
    fn of(answer: &Value) -> Self {
        let key = "io.github.bartizan-security~1refusal/reason";
        let code = [format!("/result/_meta/{key}"), format!("/error/data/{key}")]
            .iter()
            .find_map(|path| answer.pointer(path))
            .and_then(Value::as_str);
        let text = answer
            .pointer("/result/content/0/text")
            .or_else(|| answer.pointer("/error/message"))
            .and_then(Value::as_str)
            .unwrap_or_default();
        match code {
            Some(code) => Self::Refused { code: code.to_owned(), hint: text.to_owned() },
            None if answer.get("error").is_some() => Self::Refused { code: "error".to_owned(), hint: text.to_owned() },
            None => Self::Passed(text.to_owned()),
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Passed(text) => write!(f, "\u{2713} answered: {text:?}"),
            // What waits for a person says what would be sent; all else is said in one line.
            Self::Refused { code, hint } if hint.lines().nth(1).is_some() => {
                write!(f, "\u{2026} held: {code}")?;
                hint.lines().filter(|line| line.contains(':') || line.contains(" = ")).try_for_each(|line| write!(f, "\n       {line}"))
            }
            Self::Refused { code, hint } => write!(f, "\u{2717} refused: {code}: {hint}"),
        }
    }
}

fn tour() -> Result<Vec<String>, Trouble> {
    let stage = Stage::set()?;
    let mut scenes = Scenes { count: 0, surprises: Vec::new() };
    println!("A client, this gateway, and a small notebook server behind it. All of it runs on this machine.\n");

    println!("First contact: nobody has reviewed the server yet.");
    {
        let mut gateway = player::run(&stage)?;
        let listed = gateway.ask("tools/list", &json!({}))?;
        let count = listed.pointer("/result/tools").and_then(Value::as_array).map_or(0, Vec::len);
        scenes.show("The client asks which tools there are.", &Outcome::Passed(format!("{count} tools")), "passed");
        scenes.show("It calls one all the same.", &call(&mut gateway, "read_note", json!({"title": "groceries"}))?, "catalog.unapproved");
    }

    println!("\nYou review and approve what the server offers (`bartizan approve`):\n\n{}", player::approve(&stage)?);

    let mut gateway = player::run(&stage)?;
    println!("Now the client works with it.");
    let writes = json!({"name": "write_note", "arguments": {"title": "todo", "text": "buy eggs"}});
    let held = gateway.ask("tools/call", &writes)?;
    scenes.show("It writes a note: the first time in a session a person is asked.", &Outcome::of(&held), "confirm.required");
    let handle = held.pointer("/result/_meta/io.github.bartizan-security~1refusal/handle").cloned().unwrap_or_default();
    let agreed = call(&mut gateway, "confirm_write_note", json!({"handle": handle}))?;
    scenes.show("The person agrees, and the client completes that very call.", &agreed, "passed");
    scenes.show(
        "It reads a note. Anybody may have written it, and the answer says so.",
        &call(&mut gateway, "read_note", json!({"title": "groceries"}))?,
        "passed",
    );

    println!("\nThen things go wrong. The model was talked into something, or somebody else is at the client:");
    attacks(&mut gateway, &mut scenes)?;

    println!("\nThe server is taken over: its definitions and answers change.");
    files::replace(&stage.turned(), b"", files::Readers::Owner)?;
    // The gateway looks at the server's lists again when the client does, at most once a second.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    gateway.ask("tools/list", &json!({}))?;
    scenes.show(
        "The client calls a tool whose description now asks for a private key.",
        &call(&mut gateway, "read_note", json!({"title": "groceries"}))?,
        "drift.changed",
    );
    scenes.show(
        "An unchanged tool goes on. The escape sequences in its answer are made harmless, and where its program looks for tokens there is nothing: it is confined.",
        &found_nothing(call(&mut gateway, "list_notes", json!({}))?),
        "passed",
    );
    drop(gateway);

    println!("\nAnd over HTTP:");
    network(&stage, &mut scenes)?;

    println!(
        "\nEverything above is in the journal, refused or not (`bartizan log`), and the journal verifies (`bartizan audit verify`):\n"
    );
    println!("{}", player::audit(&stage)?);
    next();
    Ok(scenes.surprises)
}

fn call(gateway: &mut Gateway, tool: &str, arguments: Value) -> Result<Outcome, Trouble> {
    let answer = gateway.ask("tools/call", &json!({"name": tool, "arguments": arguments}))?;
    Ok(Outcome::of(&answer))
}

/// What the server says it found, which must be nothing.
fn found_nothing(said: Outcome) -> Outcome {
    match said {
        Outcome::Passed(text) if !text.contains(server::NOTHING) => Outcome::Refused { code: "found".to_owned(), hint: text },
        said => said,
    }
}

fn attacks(gateway: &mut Gateway, scenes: &mut Scenes) -> Result<(), Trouble> {
    scenes.show(
        "A destructive tool, after what was read: a person is asked each time, and nobody agrees. Nothing is sent.",
        &call(gateway, "delete_note", json!({"title": "groceries"}))?,
        "flow.untrusted",
    );
    scenes.show(
        "A field that the tool never declared.",
        &call(gateway, "read_note", json!({"title": "groceries", "sudo": true}))?,
        "schema.unknown-field",
    );
    scenes.show("A tool that does not exist.", &call(gateway, "read_secrets", json!({}))?, "catalog.unknown");
    let twice = r#"{"jsonrpc":"2.0","id":900,"method":"tools/call","params":{"name":"read_note","name":"delete_note","arguments":{"title":"groceries"}}}"#;
    scenes.show("A message that two parsers read differently: the name stands twice.", &Outcome::of(&gateway.say(twice)?), "wire.json");
    let mut last = Outcome::Passed(String::new());
    for count in 0..80 {
        last = call(gateway, "read_note", json!({"title": format!("{count}")}))?;
    }
    scenes.show("A loop: the same tool eighty times at once.", &last, "quota.exceeded");
    Ok(())
}

fn network(stage: &Stage, scenes: &mut Scenes) -> Result<(), Trouble> {
    let http = Http::serve(stage)?;
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    scenes.show("Somebody without a credential.", &http.post("localhost", None, list)?, "HTTP 401");
    scenes.show("A web page that rebinds its name to this machine.", &http.post("evil.example", Some(&http.token), list)?, "HTTP 403");
    scenes.show("The client with its token.", &http.post("localhost", Some(&http.token), list)?, "passed");
    Ok(())
}

fn next() {
    println!("What to try next:");
    println!("  # review a server of yours, which may read this directory");
    println!("  bartizan approve fs --read . -- npx -y @modelcontextprotocol/server-filesystem@2026.8.31 .");
    println!("  # put this into your client's configuration");
    println!("  bartizan run --name fs --read . -- npx -y @modelcontextprotocol/server-filesystem@2026.8.31 .");
    println!("  # why a reason exists and what to do");
    println!("  bartizan explain drift.changed");
}

/// The command that starts the demo's server.
fn server_command(stage: &Path) -> Result<[String; 3], Trouble> {
    let program = std::env::current_exe()?;
    Ok([program.to_string_lossy().into_owned(), "__demo-server".to_owned(), stage.to_string_lossy().into_owned()])
}
