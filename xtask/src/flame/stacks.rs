//! Stacks as `perf script` prints them, from the bottom up, with names that fit into a picture.

use std::collections::{BTreeMap, BTreeSet};

/// The functions of one look, the outermost first.
pub(super) type Stack = Vec<String>;

/// What only carries others: every stack is full of it, and it says nothing. Where a stack was too large to be kept
/// whole, these are what is missing, so that without them both kinds look alike.
const CARRIERS: &[&str] = &[
    "std::panic",
    "std::sys",
    "<std::sys",
    "std::thread",
    "std::rt",
    "core::ops::function",
    "core::panic",
    "<core::panic",
    "<core::pin",
    "<alloc::boxed::Box",
    "tokio::runtime",
    "<tokio::runtime",
    "tokio::loom",
    "tokio::task::coop",
    "futures_util",
    "<futures_util",
    "bartizan_gateway::serve::accept",
    "bartizan_gateway::serve::handle",
    "bartizan_gateway::front::http::Front::within",
    "bartizan_gateway::front::http::Front::post",
    "bartizan_gateway::front::http::body::first",
    "bartizan_gateway::front::http::run_within",
    "__rust_begin_short_backtrace",
    "__rust_try",
    "start_thread",
    "clone",
    "__clone",
    "_start",
    "__libc_start",
    "[unknown]",
];

/// How many frames of a system call are kept: enough to tell which one it is.
const KERNEL: usize = 4;

pub(super) fn read(said: &str) -> Vec<Stack> {
    let looks = said.split("\n\n").map(|look| {
        let frames = look.lines().filter(|line| line.starts_with([' ', '\t']));
        let mut stack: Stack = frames.filter_map(|line| line.trim().split_once(' ')).map(|(_, name)| plain(name)).collect();
        stack.reverse();
        stack.retain(|name| !CARRIERS.iter().any(|carrier| name.starts_with(carrier)));
        stack.dedup();
        // What is below a system call is the kernel's, and much the same in any program.
        if let Some(call) = stack.iter().position(|name| name.starts_with("entry_SYSCALL")) {
            stack.truncate(call + KERNEL);
        }
        stack
    });
    looks.filter(|stack| !stack.is_empty()).collect()
}

/// Without what types it is made for, and without the hash of the compiler.
fn plain(name: &str) -> String {
    let name = name.split("+0x").next().unwrap_or(name).trim();
    let name = match name.rsplit_once("::h") {
        Some((rest, hash)) if hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => rest,
        _ => name,
    };
    let (mut out, mut depth) = (String::new(), 0_usize);
    for (at, letter) in name.char_indices() {
        match letter {
            // `<T as Trait>::f` begins with what it is about.
            '<' if at > 0 => depth += 1,
            '>' if depth > 0 && !name.get(..at).is_some_and(|before| before.ends_with('-')) => depth -= 1,
            _ if depth == 0 => out.push(letter),
            _ => {}
        }
    }
    out.replace("::{{closure}}", "").replace("::{closure#0}", "").replace("::::", "::")
}

/// In how many of a hundred looks a function was on the stack; the most first.
pub(super) fn shares(stacks: &[Stack]) -> Vec<(String, f64)> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for stack in stacks {
        for name in stack.iter().map(String::as_str).collect::<BTreeSet<_>>() {
            *counts.entry(name).or_default() += 1;
        }
    }
    let share = |count: usize| count as f64 * 100.0 / stacks.len().max(1) as f64;
    let mut shares: Vec<(String, f64)> = counts.into_iter().map(|(name, count)| (name.to_owned(), share(count))).collect();
    shares.sort_by(|a, b| b.1.total_cmp(&a.1));
    shares
}
