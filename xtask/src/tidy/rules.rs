//! The house rules as tables. This is the file to edit; each entry says why it is there.

/// Where findings about the tables themselves point.
pub(crate) const FILE: &str = "xtask/src/tidy/rules.rs";

/// Where Rust code of ours is.
pub(crate) const SOURCE_DIRS: &[&str] = &["crates", "tests", "xtask", "benches", "judge", "fuzz"];

/// What a module may import, besides itself and its own parts.
///
/// `from`: `x` is the module and everything below it; `x/*` makes each part of `x` a row of its own, so
/// that they do not see each other or `x`. The first row that fits counts.
/// `may`: `x` is only what the module `x` itself shows; `x/*` is also everything below it; `*` is everything.
pub(crate) struct Row {
    pub(crate) from: &'static str,
    pub(crate) may: &'static [&'static str],
}

/// One crate's rows.
pub(crate) struct Imports {
    pub(crate) crate_name: &'static str,
    pub(crate) rows: &'static [Row],
}

const fn row(from: &'static str, may: &'static [&'static str]) -> Row {
    Row { from, may }
}

/// A module without a row is a finding: somebody has to decide what it may see.
pub(crate) const IMPORTS: &[Imports] = &[
    Imports {
        crate_name: "monitor",
        rows: &[
            // A refusal may carry data for the caller.
            row("reason", &["wire/json"]),
            // How a refusal looks on the wire depends on what it is about.
            row("wire/refusal", &["reason/*", "wire/*", "catalog", "journal"]),
            row("wire", &["reason/*"]),
            row("case", &["reason/*", "wire/*", "lock"]),
            row("control", &["reason/*", "case/*", "wire/*"]),
            // One control never knows another: their order and number must not matter to them. Of the catalogue, the
            // policy takes how a URI is spelt.
            row("controls/*", &["reason/*", "case/*", "catalog", "control/*", "lock", "wire/*"]),
            row("controls", &["control/*"]),
            row("catalog", &["reason/*", "case/*", "wire/*", "lock/*"]),
            row("lock", &["case/*", "wire/*", "catalog/*"]),
            row("journal", &["reason/*", "case/*", "wire/*"]),
            row("stages", &["reason/*", "case/*", "control/*", "controls", "wire/*", "catalog/*", "journal/*"]),
        ],
    },
    Imports {
        crate_name: "detect",
        rows: &[
            row("names", &[]),
            row("finding", &[]),
            // What a text looks like.
            row("fold", &[]),
            row("decode", &["fold"]),
            // What a form asks a person for.
            row("asks", &["fold"]),
            row("hidden", &["finding", "fold", "guise"]),
            row("guise", &["finding", "fold", "hidden"]),
            row("markup", &["finding", "fold"]),
            // What it says.
            row("garble", &["decode"]),
            row("words", &[]),
            row("vocabulary", &["fold", "garble", "words"]),
            row("learned", &["words"]),
            row("orders", &["finding", "fold", "learned", "vocabulary", "words"]),
            row("text", &["finding", "fold", "decode", "hidden", "learned", "markup", "garble", "words", "orders"]),
            // What tools return: the first look, what is read, what is made inert.
            row("sift", &["fold", "learned", "orders", "vocabulary", "words"]),
            row("result", &["finding", "fold", "hidden", "sift", "text"]),
            row("neutral", &["fold"]),
            row("training", &["finding", "fold", "hidden", "learned", "text", "vocabulary"]),
            // What a whole definition, or several, look like.
            row("definition", &["finding", "fold", "hidden", "vocabulary", "words", "text"]),
            row("split", &["finding", "fold", "orders", "definition"]),
            // Values, not wording: they share nothing with the rest but the key of placeholders.
            row("secrets", &[]),
            row("pii", &["secrets"]),
        ],
    },
    Imports {
        crate_name: "format",
        rows: &[
            row("address", &[]),
            row("media", &[]),
            row("uri", &[]),
            row("uri/tests", &["uri"]),
            row("verdict", &[]),
            row("names", &["verdict"]),
            row("path", &["verdict"]),
            row("url", &["address", "names", "verdict"]),
            row("sql", &["verdict"]),
            row("words", &["verdict"]),
            row("date", &["verdict"]),
        ],
    },
    Imports {
        crate_name: "rules",
        rows: &[row("scan", &[]), row("step", &[]), row("sieve", &["scan"]), row("rules", &["scan", "sieve", "step"])],
    },
    Imports {
        crate_name: "schema",
        rows: &[
            row("place", &[]),
            row("bounds", &["place"]),
            row("rules", &["declared", "place"]),
            row("kept", &[]),
            row("declared", &["place", "survey"]),
            row("survey", &["declared", "rules"]),
        ],
    },
    Imports {
        crate_name: "meter",
        rows: &[
            row("key", &[]),
            row("moment", &[]),
            row("rate", &[]),
            row("circuit", &[]),
            row("cells", &["key", "rate"]),
            row("budget", &["key"]),
            row("door", &["key", "rate"]),
            row("lease", &["key", "rate"]),
            row("meter", &["budget", "cells", "key", "lease", "moment", "rate"]),
            row("rules", &["budget", "key", "meter", "rate"]),
            row("tally", &["budget", "key", "meter", "moment", "rate", "rules"]),
        ],
    },
    Imports {
        crate_name: "gateway",
        rows: &[
            // The life of a call is told in one place, which therefore sees everything.
            row("serve", &["*"]),
            row("clock", &[]),
            row("share", &[]),
            row("lanes", &[]),
            row("counts", &["clock", "config", "config/files", "journal"]),
            // What gateways tell each other goes over the one dialer, and the stops end up in the file.
            row("leases", &["config", "config/files", "counts", "identity", "journal", "stops", "upstream"]),
            row("snapshot", &["config", "config/files"]),
            // Whoever is asked is asked in a conversation, and what was agreed to is judged anew by what holds then.
            // Its page is a second edge for browsers, with the limits and the TLS of the first.
            row(
                "consult",
                &[
                    "clock",
                    "config",
                    "config/files",
                    "front/http",
                    "identity",
                    "kept/quarantine",
                    "metrics",
                    "review",
                    "secrets",
                    "serve",
                    "serve/rehearse",
                    "session",
                    "share",
                    "snapshot",
                    "tls",
                    "webhook",
                ],
            ),
            // A server that is listened to is one by its configuration.
            row("config", &["clock", "learn"]),
            // What servers ask for becomes lines of the configuration.
            row("learn", &["config", "config/files", "review"]),
            // What is written down is looked through for secrets first.
            row("journal", &["clock", "config/files", "secrets"]),
            // Keys of issuers are fetched through the one dialer.
            row("identity", &["clock", "config", "config/files", "config/watch", "secrets", "upstream"]),
            row("review", &["config", "config/files"]),
            // What is kept is somebody's: the place is that of a question.
            row("kept/quarantine", &["config", "config/files", "consult/desk", "kept"]),
            row("kept", &["clock", "config", "consult/desk", "identity"]),
            row("stops", &["clock", "config/files", "config/watch"]),
            // What was done is written like the journal, and in a file of its own; or told a database over the one dialer.
            row("once/shared", &["config", "journal", "upstream", "once", "once/turns"]),
            row("once", &["clock", "config", "config/files", "journal", "journal/notebook"]),
            row("canary", &["config", "journal", "stops", "webhook"]),
            row("labels", &["clock", "config/files", "config/watch"]),
            row("tls", &["config", "config/files"]),
            // What differs is counted by how grave it is.
            row("drift", &["journal", "metrics", "review/*", "webhook"]),
            row("metrics", &["review/*", "upstream"]),
            row("judges", &["clock", "config", "upstream"]),
            // A span says how a call ended in the words of the metrics.
            row("traces", &["clock", "config", "metrics", "upstream"]),
            row("webhook", &["clock", "config", "identity", "upstream"]),
            // What is started is looked at just before, so the way to a server leads through it.
            row("artefact", &["config", "config/files"]),
            row("upstream", &["artefact", "clock", "config", "config/files", "lanes", "learn", "secrets", "share"]),
            // Stores are asked through the one dialer, and what a server is shown comes from them.
            row("secrets", &["clock", "config", "config/files", "config/secret", "upstream"]),
            row("session", &["artefact", "clock", "secrets", "share", "snapshot", "upstream", "serve"]),
            // A front speaks for a conversation, and hands every message to the life of a call.
            row("front", &["clock", "config", "identity", "session", "serve", "share", "traces", "upstream"]),
        ],
    },
];

/// Paths of other crates that a crate of ours may name only in some modules.
pub(crate) struct Confined {
    pub(crate) crate_name: &'static str,
    pub(crate) path: &'static str,
    /// Modules that may; empty: none.
    pub(crate) only: &'static [&'static str],
    pub(crate) why: &'static str,
}

const fn confined(crate_name: &'static str, path: &'static str, only: &'static [&'static str], why: &'static str) -> Confined {
    Confined { crate_name, path, only, why }
}

const ADVICE: &str = "a detector sees text and nothing else: pass the value in";
const COUNTS: &str = "the meter counts: pass the value in";
const VALUE: &str = "a format reads one value and asks nobody: pass what it needs in";
const RULES: &str = "rules are read from texts, and asked elsewhere: pass the value in";
const PURE: &str = "the monitor does no I/O and has no clock: pass the value in";

pub(crate) const CONFINED: &[Confined] = &[
    confined("monitor", "std::fs", &[], PURE),
    confined("monitor", "std::net", &[], PURE),
    confined("monitor", "std::process", &[], PURE),
    confined("monitor", "std::env", &[], PURE),
    confined("monitor", "std::thread", &[], PURE),
    confined("monitor", "std::time::SystemTime", &[], PURE),
    confined("monitor", "std::time::Instant", &[], PURE),
    confined(
        "gateway",
        "bartizan_sandbox",
        &["upstream/stdio", "upstream/confine", "upstream/egress", "upstream/learn", "artefact/tool", "config/confine"],
        "only the stdio upstream starts servers, confined, and only one module the package managers that fetch them",
    ),
    confined("meter", "std::fs", &[], COUNTS),
    confined("meter", "std::net", &[], COUNTS),
    confined("meter", "std::process", &[], COUNTS),
    confined("meter", "std::env", &[], COUNTS),
    confined("meter", "std::thread", &[], COUNTS),
    confined("meter", "std::time", &[], COUNTS),
    confined("meter", "bartizan_monitor", &[], "the meter counts and knows nothing of what is decided"),
    confined("meter", "bartizan_gateway", &[], "the meter counts and knows nothing of what is done"),
    confined("detect", "std::fs", &[], ADVICE),
    confined("detect", "std::net", &[], ADVICE),
    confined("detect", "std::process", &[], ADVICE),
    confined("detect", "std::env", &[], ADVICE),
    confined("detect", "std::thread", &[], ADVICE),
    confined("detect", "std::time", &[], ADVICE),
    confined("detect", "bartizan_monitor", &[], "a detector advises and knows nothing of what is decided"),
    confined("format", "std::fs", &[], VALUE),
    confined("format", "std::process", &[], VALUE),
    confined("format", "std::env", &[], VALUE),
    confined("format", "std::thread", &[], VALUE),
    confined("format", "std::time", &[], VALUE),
    confined("format", "bartizan_monitor", &[], "the monitor will ask it, and it asks nobody"),
    confined("format", "bartizan_gateway", &[], "the gateway asks it, and it asks nobody"),
    confined("rules", "std::fs", &[], RULES),
    confined("rules", "std::net", &[], RULES),
    confined("rules", "std::process", &[], RULES),
    confined("rules", "std::env", &[], RULES),
    confined("rules", "std::time", &[], RULES),
    confined("rules", "bartizan_monitor", &[], "the monitor asks the rules, and they ask nobody"),
    confined("schema", "std::fs", &[], VALUE),
    confined("schema", "std::net", &[], VALUE),
    confined("schema", "std::process", &[], VALUE),
    confined("schema", "std::env", &[], VALUE),
    confined("detect", "bartizan_gateway", &[], "a detector advises and knows nothing of what is done"),
];

/// A constructor that privacy alone cannot seal, because its value comes from I/O.
pub(crate) struct Assertion {
    pub(crate) of: &'static str,
    /// The one module that may call it, as `crate/module`.
    pub(crate) only: &'static str,
}

/// Every call of something named `assertion` in the product crates must be one of these.
pub(crate) const ASSERTIONS: &[Assertion] = &[
    Assertion { of: "Caller", only: "gateway/identity" },
    Assertion { of: "Grant", only: "gateway/consult" },
    Assertion { of: "Opinion", only: "gateway/judges" },
    Assertion { of: "Receipt", only: "gateway/journal" },
];

/// The files that touch files, sockets, clocks, processes or the environment: the only ones that may
/// carry `#[expect(clippy::disallowed_methods)]` or `disallowed_types`.
pub(crate) const CAPABILITY_HOMES: &[&str] = &[
    // How things look on a terminal.
    "crates/cli/src/paint.rs",
    // The demo plays a client and a server, which are other people's programs.
    "crates/cli/src/demo/player.rs",
    "crates/cli/src/demo/server.rs",
    // What servers are made of, and the package managers that fetch it.
    "crates/gateway/src/artefact/tool.rs",
    "crates/gateway/src/artefact/tree.rs",
    // The clock.
    "crates/gateway/src/clock.rs",
    // References to the environment, and the gateway's own files.
    "crates/gateway/src/config.rs",
    "crates/gateway/src/config/files.rs",
    "crates/gateway/src/snapshot.rs",
    // The line between `bartizan approvals` and the gateways of this machine.
    "crates/gateway/src/consult/line.rs",
    // Connections, and the client's pipe.
    "crates/gateway/src/front/stdio/pipe.rs",
    "crates/gateway/src/upstream/dial.rs",
    // What a server inherits of the environment.
    "crates/gateway/src/upstream/stdio.rs",
    // What counting and policies cost.
    "crates/meter/tests/speed.rs",
    "crates/monitor/src/controls/output/tests.rs",
    "crates/monitor/src/controls/policy/tests.rs",
    "crates/monitor/src/stages/judge/tests.rs",
    // The one lenient JSON parser, for text that was read strictly before.
    "crates/monitor/src/wire/json.rs",
    // Processes.
    "crates/sandbox/src/guard.rs",
    "crates/sandbox/src/lib.rs",
    // Its tests try what is refused.
    "crates/sandbox/src/own.rs",
    // What is handed to a container is looked through.
    "crates/sandbox/src/place.rs",
    // The files of a server's own root, and those through which the kernel is told of namespaces and groups.
    "crates/sandbox/src/ward.rs",
    "crates/sandbox/src/ward/cgroup.rs",
    "crates/sandbox/src/ward/root.rs",
    "crates/sandbox/src/ward/strict.rs",
];

/// Directories whose code may say `unsafe`.
pub(crate) const UNSAFE_HOMES: &[&str] = &["crates/sandbox/"];

/// Names that say nothing about what a module is for.
pub(crate) const EMPTY_NAMES: &[&str] = &["util", "utils", "helper", "helpers", "misc", "common"];

/// Where the size budgets hold. Tests may be as long as the cases they list.
pub(crate) const BUDGET_DIRS: &[&str] = &["crates/", "xtask/", "benches/", "judge/"];

/// Lines of a file, without its tests.
pub(crate) const FILE_LINES: usize = 400;
/// Lines of a function, from `fn` to its closing brace.
pub(crate) const FUNCTION_LINES: usize = 60;
/// Parameters of a function, without `self`.
pub(crate) const PARAMETERS: usize = 5;
/// Lines below a directory or of a file, without tests.
pub(crate) const TOTAL_LINES: &[(&str, usize)] = &[("crates/monitor/src/", 12_700), ("crates/monitor/src/stages.rs", 200)];
/// Packages in what is shipped.
pub(crate) const RELEASE_PACKAGES: usize = 350;

/// Somebody who may break a rule.
pub(crate) struct Exception {
    pub(crate) rule: &'static str,
    /// A path, or `path::function`.
    pub(crate) place: &'static str,
    /// For the reader of this table.
    #[expect(dead_code, reason = "an exception is written down with its reason, which no program reads")]
    pub(crate) reason: &'static str,
}

/// Rules `file-size`, `function-size`, `parameters` and `total-size` may have exceptions.
pub(crate) const EXCEPTIONS: &[Exception] = &[];
