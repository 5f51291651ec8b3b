//! A Bartizan with everything on: the configuration that measurements of "everything" mean.
//!
//! Nothing of it is off; what counts is raised so far that a load generator does not reach it. What it adds to the
//! defaults: clients with access tokens (ES256), rules that look at arguments, every limit with a number, budgets, a
//! listener for metrics, spans of one call in a hundred.

use std::path::Path;

use anyhow::Result;

use crate::gateway::Gateway;
use crate::issuer::{AUDIENCE, Issuer};
use crate::run::{Server, free_port};

/// The server whose tool is approved as one that reads, and the one whose tool is approved as one that writes. They
/// are the same program.
pub(crate) const READS: &str = "bench";
pub(crate) const WRITES: &str = "ledger";

/// How many rules the policy has, unless a measurement is about that.
pub(crate) const RULES: Rules = Rules::here(50);

/// What is asked of it.
pub(crate) struct Wanted<'a> {
    pub(crate) bartizan: &'a Path,
    /// Where the server behind it listens.
    pub(crate) upstream: u16,
    pub(crate) rules: Rules,
}

/// How many rules a policy has: those that look at every call, and those that name another tool.
#[derive(Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) here: usize,
    pub(crate) elsewhere: usize,
}

impl Rules {
    pub(crate) const fn here(here: usize) -> Rules {
        Rules { here, elsewhere: 0 }
    }
}

/// The gateway, set up and not started.
pub(crate) struct Everything {
    pub(crate) gateway: Gateway,
    pub(crate) port: u16,
    pub(crate) token: String,
    /// Shows the key as long as the gateway may ask.
    _issuer: Issuer,
}

impl Everything {
    pub(crate) fn set_up(wanted: &Wanted<'_>) -> Result<Everything> {
        let (issuer, port, metrics) = (Issuer::start()?, free_port()?, free_port()?);
        let gateway = Gateway::new(wanted.bartizan, &config(&issuer.name, port, metrics, wanted.upstream))?;
        gateway.write("rules.cedar", &rules(wanted.rules))?;
        gateway.approve(READS, &["echo=read".into()], &[])?;
        gateway.approve(WRITES, &["echo=write".into()], &[])?;
        let lock = gateway.read("bartizan.lock")?;
        gateway.write("bartizan.lock", &closed(&lock))?;
        let token = issuer.token("load")?;
        Ok(Everything { gateway, port, token, _issuer: issuer })
    }

    pub(crate) fn serve(&self) -> Result<Server> {
        self.gateway.serve(self.port)
    }

    /// What the load generator is told to call one of the servers.
    pub(crate) fn args(&self, server: &str) -> Vec<String> {
        let header = format!("Authorization: Bearer {}", self.token);
        ["--url".into(), format!("http://127.0.0.1:{}/mcp/{server}", self.port), "--header".into(), header].to_vec()
    }

    /// The policy with another number of rules, as an operator would replace it.
    pub(crate) fn replace_rules(&self, wanted: Rules) -> Result<()> {
        self.gateway.write("rules.cedar", &rules(wanted))
    }
}

/// A way out would wait for a person after the first answer: what the tool returns is untrusted.
fn closed(lock: &str) -> String {
    lock.replace("\neffect = \"write\"\n", "\neffect = \"write\"\negress = false\n")
}

/// One rule permits; the others forbid by what stands in the arguments, of each type that rules know.
fn rules(Rules { here, elsewhere }: Rules) -> String {
    let permit = "@id(\"callers\")\npermit (principal, action, resource);\n";
    let condition = |n: usize| match n % 3 {
        0 => format!("context.numbers.hasTag(\"amount\") && context.numbers.getTag(\"amount\") > {}", 1000 + n),
        1 => format!("context.arguments.hasTag(\"path\") && !(context.arguments.getTag(\"path\") like \"/srv/{n}/*\")"),
        _ => format!("context.arguments.hasTag(\"message\") && context.arguments.getTag(\"message\") like \"project {n}: *\""),
    };
    let forbid = |n: usize| {
        let resource = if n < here { "resource".to_owned() } else { format!("resource == Tool::\"{READS}/other_{n}\"") };
        format!("@id(\"not-{n}\")\nforbid (principal, action == Action::\"call\", {resource})\nwhen {{ {} }};\n", condition(n))
    };
    std::iter::once(permit.to_owned()).chain((1..here + elsewhere).map(forbid)).collect()
}

/// Every limit has a number, so that it is counted; a load generator does not reach it.
const LIMITS: &str = r#"[limits]
sessions = 20000
sessions_per_principal = 20000
calls_per_principal = 1024
calls_per_session = 1024
connections = 20000
connections_per_address = 20000
messages_per_minute = 60000000

[controls.quota]
read_per_minute = 60000000
write_per_minute = 60000000
session_per_minute = 60000000
credential_per_minute = 60000000
client_per_minute = 60000000
tool_per_minute = 60000000
server_per_minute = 60000000
total_per_minute = 60000000

[[controls.quota.budgets]]
per = "day"
of = "client"
calls = 1000000000
bytes = 1000000000000000

# Nobody is there to say yes.
[controls.confirm]
write = "never"
"#;

/// How many calls are followed.
pub(crate) const TRACED: &str = "share = 0.01";

fn config(issuer: &str, port: u16, metrics: u16, upstream: u16) -> String {
    format!(
        r#"environment = "bench"

[listen]
address = "127.0.0.1:{port}"

[metrics]
listen = "127.0.0.1:{metrics}"

[traces]
url = "{issuer}/v1/traces"
{TRACED}

[servers.{READS}]
url = "http://127.0.0.1:{upstream}/mcp"

[servers.{WRITES}]
url = "http://127.0.0.1:{upstream}/mcp"

[policy]
files = ["rules.cedar"]

[oauth]
resource = "{AUDIENCE}"
required_scopes = ["mcp:call"]

[[oauth.issuer]]
issuer = "{issuer}"
jwks_uri = "{issuer}/jwks"
algorithms = ["ES256"]

[dangerous]
private_issuers = ["{issuer}"]

{LIMITS}"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_rules_as_asked_for() {
        let some = rules(Rules { here: 50, elsewhere: 7 });
        assert_eq!((some.matches("@id").count(), some.matches("Tool::").count()), (57, 7));
        assert_eq!(rules(Rules::here(1)).matches("forbid").count(), 0);
    }

    #[test]
    fn a_tool_that_writes_is_no_way_out() {
        assert_eq!(closed("a\neffect = \"write\"\nb"), "a\neffect = \"write\"\negress = false\nb");
        assert_eq!(closed("a\neffect = \"read\"\nb"), "a\neffect = \"read\"\nb");
    }
}
