//! The hash chain: appending and verifying.

use std::collections::BTreeSet;
use std::io::Write as _;

use bytes::Bytes;

use crate::wire::canonical::Digest;
use crate::wire::json::{Json, View};

/// The end of a chain, to which the next line is tied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    seq: u64,
    head: Digest,
}

/// The chain of an empty journal.
impl Default for Chain {
    fn default() -> Self {
        Self { seq: 0, head: Digest::of_bytes(b"bartizan journal 1") }
    }
}

impl Chain {
    /// Makes the next line, without its line feed, and moves on.
    #[must_use]
    pub fn append(&mut self, at_ms: u64, elapsed_us: Option<u64>, members: &Json) -> Vec<u8> {
        self.seq = self.seq.saturating_add(1);
        let mut line = Vec::with_capacity(members.bytes().len().saturating_add(160));
        // Writing to memory cannot fail.
        let _ = write!(line, "{{\"seq\":{},\"prev\":\"{}\",\"at\":{at_ms}", self.seq, self.head);
        if let Some(us) = elapsed_us {
            let _ = write!(line, ",\"us\":{us}");
        }
        let inner = members.view().text().strip_prefix('{').unwrap_or("}");
        if inner != "}" {
            line.push(b',');
        }
        line.extend_from_slice(inner.as_bytes());
        self.head = Digest::of_bytes(&line);
        line
    }

    /// How many lines there are.
    #[must_use]
    pub const fn lines(&self) -> u64 {
        self.seq
    }

    /// The digest of the last line: note it elsewhere, and a cut tail shows too.
    #[must_use]
    pub const fn head(&self) -> Digest {
        self.head
    }
}

/// Where and why a journal does not verify.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct Break {
    /// The number of the line in the file, from 1.
    pub line: u64,
    /// What is wrong there.
    pub what: &'static str,
}

/// What a journal that verifies holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// Lines.
    pub lines: u64,
    /// Closed records.
    pub closed: u64,
    /// Closed records of calls that were refused.
    pub refused: u64,
    /// Decisions whose record is not closed: running calls, or calls cut off by a crash.
    pub open: Vec<String>,
}

/// Checks lines one after the other.
#[derive(Debug, Default)]
pub struct Verifier {
    chain: Chain,
    open: BTreeSet<String>,
    closed: BTreeSet<String>,
    refused: u64,
}

impl Verifier {
    /// Takes the next line, without its line feed.
    pub fn line(&mut self, text: &[u8]) -> Result<(), Break> {
        let line = self.chain.seq.saturating_add(1);
        let fail = |what| Break { line, what };
        let json = Json::parse(Bytes::copy_from_slice(text)).map_err(|_| fail("not strict JSON"))?;
        let view = json.view();
        let member = |key: &str| view.get(key).and_then(View::as_str);
        if view.get("seq").and_then(View::as_i64) != i64::try_from(line).ok() {
            return Err(fail("the sequence number does not follow"));
        }
        if member("prev").as_deref() != Some(&*self.chain.head.to_string()) {
            return Err(fail("it is not tied to the line before: a line was changed, removed or inserted"));
        }
        self.chain = Chain { seq: line, head: Digest::of_bytes(text) };
        self.account(member("event").as_deref(), member("call").as_deref(), member("outcome").as_deref()).map_err(fail)
    }

    fn account(&mut self, event: Option<&str>, call: Option<&str>, outcome: Option<&str>) -> Result<(), &'static str> {
        match (event, call) {
            (Some("decided"), Some(call)) if (self.closed.contains(call) || !self.open.insert(call.to_owned())) => {
                return Err("the call was decided twice");
            }
            (Some("closed"), Some(call)) => {
                self.open.remove(call);
                if !self.closed.insert(call.to_owned()) {
                    return Err("the call was closed twice");
                }
                self.refused = self.refused.saturating_add(u64::from(outcome == Some("refused")));
            }
            (Some("decided" | "closed"), None) => return Err("the call has no number"),
            _ => {}
        }
        Ok(())
    }

    /// The chain up to here.
    #[must_use]
    pub const fn chain(&self) -> Chain {
        self.chain
    }

    /// What was seen.
    #[must_use]
    pub fn summary(self) -> Summary {
        Summary {
            lines: self.chain.seq,
            closed: u64::try_from(self.closed.len()).unwrap_or(u64::MAX),
            refused: self.refused,
            open: self.open.into_iter().collect(),
        }
    }
}
