//! What the scripted server does: a JSON file that it reads anew for every message, so that a test can
//! change its behaviour, and what it offers, while it runs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Which introductions the server understands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Era {
    /// `initialize`.
    #[default]
    Legacy,
    /// `server/discover`.
    Modern,
    /// Either.
    Both,
    /// The first introduction decides, even one that it does not understand: after `server/discover` it
    /// refuses `initialize`, for as long as the process lives.
    Locks,
}

/// One thing that the server does for a message.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// Answers the request with this result.
    Answer(Value),
    /// Answers the request with this error.
    Error(Value),
    /// Writes a line, whatever it is. `$ID` and `$TOKEN` are those of the request, `$PID` the process's.
    Line(String),
    /// Writes these bytes (hexadecimal), as they are.
    Bytes(String),
    /// Writes a line many times.
    Repeat {
        /// The line.
        line: String,
        /// How often.
        times: usize,
    },
    /// Answers the request with one text of many lines, each with its number: too long to stand in a script.
    Long {
        /// The line, without its end.
        line: String,
        /// How many.
        times: usize,
    },
    /// Answers the request with a result that is too long to stand in a script: `$N` in the unit is the number of its turn.
    Large {
        /// How the result begins.
        begin: String,
        /// What follows so many times.
        unit: String,
        /// How often.
        times: usize,
        /// How the result ends.
        end: String,
    },
    /// Writes so many bytes without a line end.
    Endless(u64),
    /// Writes a text again and again until nobody listens any more.
    Forever {
        /// The text, as [`Act::Line`] has it.
        text: String,
        /// How long it waits in between.
        millis: u64,
    },
    /// Writes to standard error.
    Say(String),
    /// Waits for so many milliseconds.
    Wait(u64),
    /// Waits until a file of this name stands beside the script.
    Until(String),
    /// Makes a file of this name beside the script.
    Touch(String),
    /// Starts a grandchild that leaves the process group and would run for ten minutes.
    Spawn,
    /// Ends the process.
    Exit(i32),
    /// Ends the conversation: over HTTP the connection, else the process.
    Close,
    /// Over HTTP: waits until the gateway hangs up, then makes a file of this name beside the script.
    HungUp(String),
    /// Over HTTP: the whole response, as it stands.
    Http(String),
}

/// The whole behaviour.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    /// Which introductions it understands.
    pub era: Era,
    /// Members of the answer to an introduction, in the place of the usual ones.
    pub hello: BTreeMap<String, Value>,
    /// The tools that it offers.
    pub tools: Vec<Value>,
    /// The tools that each of its processes offers instead, in the order in which they were started.
    pub each: Vec<Vec<Value>>,
    /// The prompts that it offers.
    pub prompts: Vec<Value>,
    /// The resources that it offers.
    pub resources: Vec<Value>,
    /// The resource templates that it offers.
    pub templates: Vec<Value>,
    /// What it does instead of the usual, by `method NAME`, by `method`, at `start`, or for the
    /// `result` or `error` that answers a question of its own.
    pub on: BTreeMap<String, Vec<Act>>,
}

impl Script {
    /// A server that offers these tools, with schemas that take anything declared here: nothing.
    #[must_use]
    pub fn with_tools<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self { tools: names.into_iter().map(tool).collect(), ..Self::default() }
    }

    /// Adds what it does for a message.
    #[must_use]
    pub fn on(mut self, what: &str, acts: Vec<Act>) -> Self {
        self.on.insert(what.to_owned(), acts);
        self
    }

    /// Sets the era.
    #[must_use]
    pub fn era(mut self, era: Era) -> Self {
        self.era = era;
        self
    }
}

/// A text of many lines, each with its number.
#[must_use]
pub fn long(line: &str, times: usize) -> String {
    (0..times).map(|number| format!("{number:06} {line}\n")).collect()
}

/// A tool that takes an optional text.
#[must_use]
pub fn tool(name: &str) -> Value {
    json!({
        "name": name,
        "description": format!("The tool {name}."),
        "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}}
    })
}

/// A result that is one text.
#[must_use]
pub fn text(text: &str) -> Value {
    json!({"content": [{"type": "text", "text": text}]})
}
