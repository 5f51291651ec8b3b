#!/usr/bin/env python3
"""Reviews of real servers: what was approved is what the client sees, and an upgrade shows as what it changed.

    tests/real/install && tests/real/reviews.py --bartizan target/release/bartizan [--only SERVER,..]

Every server of reviews.json is started directly and asked for its tools; then it is approved and asked again
through `bartizan run`: the definitions must be the same. A server with a `before` is approved in that version
first and then upgraded: it must not start, because it is made of something else; `bartizan diff` must exit with 10
and name exactly the tools that differ; and after the second approval the new list must come through whole. What
the scanner warns of in an honest server stands in `warned`: only then is it approved despite findings.
"""

import argparse
import json
import os
import queue
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
REAL = Path(os.environ.get("BARTIZAN_REAL", HERE / "../../target/real")).resolve()
SCRATCH = REAL / "reviews"
NODE = REAL / "npm/node_modules/.bin/node"
PLACES = {"real": str(REAL), "node": str(NODE), "modules": str(REAL / "npm/node_modules"), "more": str(REAL / "more/node_modules")}
SECONDS = 60
# Some servers offer tools only to clients that can do something; a review declares everything.
REFUSAL = "io.github.bartizan-security/refusal"
CAPABILITIES = {"roots": {}, "sampling": {}, "elicitation": {"form": {}, "url": {}}}

ENV = {
    "HOME": str(SCRATCH / "home"),
    "PATH": f"{NODE.parent}:{os.environ['PATH']}",
    "NO_COLOR": "1",
    # What stands for a key: servers want one to start, and none is used.
    "DUMMY": "not-a-key",
}


class Wrong(Exception):
    """Something is not as it must be; the words say what."""


class Refused(Wrong):
    """The gateway refused; the words are its reason."""


def fill(words):
    for key, place in PLACES.items():
        words = [word.replace("{" + key + "}", place) for word in words]
    return words


class Session:
    """A legacy session over a pipe: just enough to list and call."""

    def __init__(self, argv, env, log):
        self.log = log.open("ab")
        self.process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, env=env, cwd=SCRATCH
        )
        self.lines = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()
        self.next = 0
        self.ask("initialize", {
            "protocolVersion": "2025-11-25", "capabilities": CAPABILITIES, "clientInfo": {"name": "reviews", "version": "1"},
        })
        self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def send(self, message):
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()

    def ask(self, method, params):
        self.next += 1
        self.send({"jsonrpc": "2.0", "id": self.next, "method": method, "params": params})
        until = time.monotonic() + SECONDS
        while True:
            try:
                line = self.lines.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                raise Wrong(f"no answer to {method} within {SECONDS} s; see {self.log.name}") from None
            if line is None:
                raise Wrong(f"it ended before it answered {method}; see {self.log.name}")
            message = json.loads(line)
            if message.get("id") == self.next and "method" not in message:
                return message

    def tools(self):
        found, cursor = [], None
        while True:
            answer = self.ask("tools/list", {"cursor": cursor} if cursor else {})
            if "error" in answer:
                raise Refused(answer["error"].get("data", {}).get(REFUSAL, {}).get("reason") or json.dumps(answer["error"]))
            result = answer["result"]
            found += result["tools"]
            cursor = result.get("nextCursor")
            if not cursor:
                return {tool["name"]: tool for tool in found}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


class Review:
    def __init__(self, name, described, bartizan):
        self.name, self.described, self.bartizan = name, described, bartizan
        self.dir = SCRATCH / name
        shutil.rmtree(self.dir, ignore_errors=True)
        self.dir.mkdir(parents=True)
        self.log = self.dir / "log"
        self.keys = described.get("keys", [])

    def direct(self, argv):
        with Session(fill(argv), ENV | {key: ENV["DUMMY"] for key in self.keys}, self.log) as session:
            return session.tools()

    def configure(self, argv):
        env = ", ".join(f'{key} = "${{env:DUMMY}}"' for key in self.keys)
        # What was approved is what is compared; nothing is called, so everybody may see what destroys, too.
        (self.dir / "open.cedar").write_text("permit (principal, action, resource);\n")
        text = f"[policy]\nfiles = [\"open.cedar\"]\n\n[servers.{self.name}]\ncommand = {json.dumps(fill(argv))}\nenv = {{ {env} }}\n"
        (self.dir / "bartizan.toml").write_text(text)

    def words(self, *words):
        places = ["--config", str(self.dir / "bartizan.toml"), "--state", str(self.dir / "state"), "--lock", str(self.dir / "bartizan.lock")]
        return [self.bartizan, *places, *words]

    def say(self, *words, expect=0):
        ran = subprocess.run(self.words(*words), env=ENV, cwd=SCRATCH, capture_output=True, text=True, timeout=4 * SECONDS)
        with self.log.open("a") as log:
            log.write(f"$ bartizan {' '.join(words)}\n{ran.stdout}{ran.stderr}exit {ran.returncode}\n")
        if ran.returncode != expect:
            raise Wrong(f"`bartizan {' '.join(words)}` exits with {ran.returncode}, not {expect}; see {self.log}")
        return ran.stdout

    def through(self):
        argv = self.words("run", "--name", self.name, "--", *fill(json.loads(self.dir.joinpath("argv").read_text())))
        with Session(argv, ENV, self.log) as session:
            return session.tools()

    def offer(self, argv):
        """The server as it is started from now on."""
        self.configure(argv)
        self.dir.joinpath("argv").write_text(json.dumps(argv))

    def approve(self):
        if self.described.get("warned"):
            self.say("approve", self.name, "--all", "--yes", expect=11)
            self.say("approve", self.name, "--all", "--yes", "--despite-findings")
        else:
            self.say("approve", self.name, "--all", "--yes")

    def play(self):
        before, argv = self.described.get("before"), self.described["argv"]
        first = before or argv
        self.offer(first)
        offered = self.direct(first)
        hidden = self.through()
        if hidden:
            raise Wrong(f"before anything is approved the client sees {sorted(hidden)}")
        self.approve()
        same(offered, self.through(), "approved")
        if not before:
            self.say("audit", "verify")
            return f"{len(offered)} tools"
        told = self.upgrade(offered, self.direct(argv), argv)
        self.say("audit", "verify")
        return told

    def upgrade(self, old, new, argv):
        self.offer(argv)
        changed = {name for name in old.keys() & new.keys() if old[name] != new[name]}
        added, removed = new.keys() - old.keys(), old.keys() - new.keys()
        try:
            raise Wrong(f"made of something else, it starts and offers {sorted(self.through())}")
        except Refused as refused:
            if str(refused) != "artefact.changed":
                raise
        told = json.loads(self.say("diff", self.name, "--start", "--format", "json", expect=10))
        compare_diff(told, {"changed": changed, "new": added, "removed": removed})
        self.approve()
        same(new, self.through(), "approved after the upgrade")
        self.say("diff", self.name)
        kept = len(new) - len(changed) - len(added)
        return f"{len(old)} -> {len(new)} tools: {kept} kept, {len(changed)} changed, {len(added)} new, {len(removed)} removed"


def same(wanted, seen, what):
    if wanted != seen:
        different = [name for name in wanted.keys() | seen.keys() if wanted.get(name) != seen.get(name)]
        raise Wrong(f"{what}: the client must see {len(wanted)} tools and sees {len(seen)}; different: {', '.join(sorted(different))}")


def told_as(row):
    return "new" if row["change"] == "renamed" else row["change"]


def compare_diff(told, wanted):
    """What `diff` says of tools must be what two direct lists say, and that the server is made of something else."""
    if not any(row["kind"] == "artefact" and row["change"] == "changed" for row in told):
        raise Wrong("diff: does not say that the server is made of something else")
    for what, names in wanted.items():
        seen = {row["name"] for row in told if row["kind"] == "tool" and told_as(row) == what}
        # A rename is a tool that is gone and one that is new.
        seen |= {row["was"] for row in told if row["kind"] == "tool" and row["change"] == "renamed" and what == "removed"}
        if seen != set(names):
            raise Wrong(f"diff: {what} are {sorted(names)}, and it says {sorted(seen)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bartizan", required=True, type=lambda path: str(Path(path).resolve()))
    parser.add_argument("--only", type=lambda text: text.split(","))
    options = parser.parse_args()
    described = json.loads((HERE / "reviews.json").read_text())
    chosen = options.only or list(described)
    if unknown := sorted(set(chosen) - described.keys()):
        parser.error(f"there is no server called {', '.join(unknown)}")
    (SCRATCH / "home").mkdir(parents=True, exist_ok=True)
    wrong = 0
    for number, name in enumerate(chosen, 1):
        started = time.monotonic()
        try:
            told = Review(name, described[name], options.bartizan).play()
        except (Wrong, OSError, KeyError, subprocess.SubprocessError) as problem:
            told, wrong = f"WRONG: {problem}", wrong + 1
        print(f"[{number}/{len(chosen)}] {name}: {told} ({time.monotonic() - started:.1f} s)", flush=True)
    print(f"{len(chosen) - wrong} of {len(chosen)} servers reviewed as they must be")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
