//! `cargo xtask ship`: the program as it is shipped and measured, built twice. The first one counts which of its code is used
//! while it is called as in daily work; the second one is laid out by that (docs/decisions/0047).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::bench::{self, Loadgen, SHIPPED};
use crate::everything::{Everything, READS, RULES, WRITES, Wanted};
use crate::gateway::{Gateway, NO_LIMITS};
use crate::run::{Options, Server, capture, cargo, free_port, line, root, run, text};

/// Where the counting program writes what it counted: beside its records, the one place that it lets itself write to.
const COUNTED: &str = "state/counted-%p-%m.profraw";
/// How long each kind of call is made while it counts.
const SECONDS: &str = "5";
const CLIENTS: &str = "16";
/// What is called: a server, a size, and more options.
const CALLS: &[(&str, &str, &[&str])] =
    &[(READS, "100", &[]), (READS, "100", &["--modern"]), (WRITES, "100", &[]), (READS, "10000", &[]), (READS, "100000", &[])];

pub(crate) fn main(args: &[String]) -> Result<()> {
    let mut o = Options::new(args);
    let (counting, into) = (o.value("--train")?.map(PathBuf::from), o.value("--into")?.map(PathBuf::from));
    o.finish()?;
    match (counting, into) {
        (Some(counting), Some(into)) => train(&counting, &into),
        (None, None) => {
            println!("{}", build()?.display());
            Ok(())
        }
        _ => bail!("--train PROGRAM and --into DIR belong together"),
    }
}

/// Builds what is shipped, and says where it is. What was built before of the same source is not built again.
pub(crate) fn build() -> Result<PathBuf> {
    let (here, profdata) = (root().join("target/ship"), profdata()?);
    let counting = compile(&here.join("counting"), "-Cprofile-generate")?;
    let load = ["ship", "everything"].map(|name| root().join(format!("xtask/src/{name}.rs")));
    let sums = capture(Command::new("sha256sum").arg(&counting).args(load))?;
    // Named by the program that it belongs to and by what that was called with: another name builds anew.
    let name = sums.lines().filter_map(|line| line.get(..12)).collect::<Vec<_>>().join("-");
    let profile = here.join(format!("{name}.profdata"));
    if !profile.is_file() {
        let counts = tempfile::Builder::new().prefix("ship-").tempdir()?;
        // This very program, also when another one lies in its place by now.
        let mut training = Command::new("/proc/self/exe");
        training.args(["ship", "--train", text(&counting)?, "--into", text(counts.path())?]);
        run(training.current_dir(root()).env("LLVM_PROFILE_FILE", COUNTED))?;
        let merged = here.join(format!("{name}.new"));
        run(Command::new(profdata).args(["merge", "-o", text(&merged)?, text(counts.path())?]))?;
        std::fs::rename(merged, &profile)?;
    }
    compile(&here.join("laid-out"), &format!("-Cprofile-use={}", text(&profile)?))
}

/// The program, built with a flag. For a named target, because what only takes part in building is built without it.
fn compile(into: &Path, flag: &str) -> Result<PathBuf> {
    let target = host()?;
    let mut build = cargo();
    build.args(["build", "--locked", "--profile", SHIPPED, "-p", "bartizan", "--target", &target, "--target-dir", text(into)?]);
    run(build.env("RUSTFLAGS", flag))?;
    Ok(into.join(&target).join(SHIPPED).join("bartizan"))
}

fn host() -> Result<String> {
    let said = capture(Command::new("rustc").current_dir(root()).arg("-vV"))?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc does not say what it builds for")?.to_owned())
}

/// What puts counts together: a part of the toolchain that is installed when it is not there.
fn profdata() -> Result<PathBuf> {
    let sysroot = capture(Command::new("rustc").current_dir(root()).args(["--print", "sysroot"]))?;
    let tool = Path::new(sysroot.trim()).join("lib/rustlib").join(host()?).join("bin/llvm-profdata");
    if !tool.is_file() {
        run(Command::new("rustup").current_dir(root()).args(["component", "add", "llvm-tools"]))
            .context("llvm-profdata puts counts together")?;
    }
    Ok(tool)
}

/// Calls the counting program, and keeps what it counted.
fn train(counting: &Path, into: &Path) -> Result<()> {
    let built = bench::build(SHIPPED, &["bartizan-bench"])?;
    let (loadgen, upstream) = (Loadgen { program: built.join("bench-loadgen") }, built.join("bench-upstream"));
    let dir = tempfile::Builder::new().prefix("ship-").tempdir()?;
    let port = free_port()?;
    let mut c = Command::new(&upstream);
    c.args(["http", "--addr", &format!("127.0.0.1:{port}"), "--tools", "1000"]);
    let mut server = Server::start("bench-upstream", &c, &dir.path().join("upstream.log"))?;
    server.wait_for(port, Duration::from_secs(10))?;
    let everything = Everything::set_up(&Wanted { bartizan: counting, upstream: port, rules: RULES })?;
    // What the commands counted that set it up says little, and would hide that the rest is missing.
    forget(&everything.gateway)?;
    let serving = everything.serve()?;
    for (server, size, more) in CALLS {
        let mut args = everything.args(server);
        args.extend(["--clients", CLIENTS, "--size", size, "--secs", SECONDS].iter().chain(*more).map(|word| (*word).to_owned()));
        loadgen.run("call", &words(&args))?;
    }
    let lists = [everything.args(READS), vec!["--count".into(), "300".into()]].concat();
    loadgen.run("list", &words(&lists))?;
    // It writes down what it counted when it ends.
    drop(serving);
    keep(&everything.gateway, into)?;
    over_stdio(counting, &loadgen, &upstream, into)
}

fn over_stdio(counting: &Path, loadgen: &Loadgen, upstream: &Path, into: &Path) -> Result<()> {
    let gateway = Gateway::new(counting, NO_LIMITS)?;
    let server = [text(upstream)?, "stdio"];
    gateway.approve("bench-stdio", &["echo=read".into()], &server)?;
    forget(&gateway)?;
    let [_, state, _] = gateway.places();
    let counted = state.join("run-%p-%m.profraw");
    let run = gateway.command(&["run"], &["--config", "--state", "--lock"]);
    let command = format!("env LLVM_PROFILE_FILE={} {} --name bench-stdio -- {}", text(&counted)?, line(&run), server.join(" "));
    loadgen.run("stdio", &["--cmd", &command, "--secs", SECONDS])?;
    keep(&gateway, into)
}

fn words(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

/// What was counted so far beside the records of a gateway.
fn counted(gateway: &Gateway) -> Result<Vec<PathBuf>> {
    let [_, state, _] = gateway.places();
    let files = std::fs::read_dir(&state)?.flatten().map(|entry| entry.path());
    Ok(files.filter(|file| file.extension().is_some_and(|ending| ending == "profraw")).collect())
}

fn forget(gateway: &Gateway) -> Result<()> {
    counted(gateway)?.into_iter().try_for_each(|file| std::fs::remove_file(&file).with_context(|| file.display().to_string()))
}

/// Copies what was counted out of a directory that will be gone.
fn keep(gateway: &Gateway, into: &Path) -> Result<()> {
    let counted = counted(gateway)?;
    // One that was killed leaves nothing.
    if counted.is_empty() {
        bail!("nothing was counted: the gateway did not end by itself");
    }
    for file in counted {
        std::fs::copy(&file, into.join(file.file_name().unwrap_or_default()))?;
    }
    Ok(())
}
