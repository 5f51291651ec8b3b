#!/usr/bin/env python3
"""Real clients whose person is asked: each of them must show the question, take a yes and a no, and do nothing otherwise.

    tests/real/install && tests/real/held.py --bartizan target/release/bartizan

The server is mcp-server-git, and a branch that exists shows that its tool was called.
"""

import argparse
import concurrent.futures
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import matrix
from matrix import CLIENTS, HERE, NODE, Broken, Gateway, Server, chosen, say

TOOL = "git_create_branch"
# channel and assurance in the record, by what the client spoke
CHANNELS = {"2026-07-28": "input-required"}


class Wrong(Exception):
    """What a client did is not what it must do."""


def expect(right, what, seen):
    if not right:
        raise Wrong(f"{what}: {json.dumps(seen)[:1500]}")


class World:
    """The server in a state of its own, behind a gateway at its defaults."""

    def __init__(self, bartizan, name, head=""):
        described = json.loads((HERE / "servers.json").read_text())["git"]
        described["effects"] |= {TOOL: "destructive"}
        self.server = Server(f"held-{name}", described)
        self.gateway = Gateway(bartizan, self.server, "stdio")
        self.command = self.server.described["stdio"]
        config = self.server.dir / "held.toml"
        config.write_text("\n".join([head, f"[servers.{self.server.name}]", *self.gateway.confined(), ""]))
        self.config = ["--config", str(config)]
        self.gateway.approve(*self.config, command=["--", *self.command])
        self.repo = self.server.tmp / "repo"
        self.target = ["--stdio", bartizan, "run", *self.config, *self.gateway.paths, "--name", self.server.name, "--", *self.command]

    def drive(self, client, branch, answer=None, then=()):
        arguments = {"repo_path": str(self.repo), "branch_name": branch}
        calls = [{"name": TOOL, "arguments": arguments}, *then]
        self.server.described["plan"] = {"call": calls} | ({"answer": {"elicitation": answer}} if answer else {})
        out = self.server.drive(client, branch, self.target)
        expect("broken" not in out and not out["errors"], "the client has an error", out)
        return out

    def branches(self):
        listed = subprocess.run(["git", "branch", "--format=%(refname:short)"], cwd=self.repo, env=matrix.ENV, capture_output=True, text=True)
        return set(listed.stdout.split()) - {"main"}

    def words(self):
        """What the journal says of confirmation, in order."""
        files = sorted((self.server.dir / "stdio.state/journal").glob("*.jsonl"), key=lambda file: file.stat().st_mtime)
        lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
        return [line["confirmation"] for line in lines if line.get("event") == "decided" and "confirmation" in line]

    def done(self, made, word):
        expect(self.branches() == made, "branches", sorted(self.branches()))
        words = self.words()
        seen = words[-1] if words else {}
        expect({key: seen.get(key) for key in word} == word, f"the record does not say {word}", words)
        self.gateway.say("audit", "verify", *self.gateway.state)


def with_forms(bartizan, client):
    """The client has forms: its person says no, then yes."""
    world = World(bartizan, client)
    refused = world.drive(client, "no", {"agree": False})
    said = refused["calls"][0]
    expect(said["isError"] and "confirm.refused" in said["text"], "a no", refused)
    expect(world.branches() == set(), "nobody agreed", sorted(world.branches()))
    agreed = world.drive(client, "yes", {"agree": True})
    expect(not agreed["calls"][0]["isError"], "a yes", agreed)
    for out in (refused, agreed):
        asked = [entry["message"] for entry in out["asked"]]
        expect(len(asked) == 1 and f"tool: {TOOL}\n" in asked[0] and "branch_name = " in asked[0], "what the person sees", out)
    channel = CHANNELS.get(agreed["protocol"], "elicitation")
    world.done({"yes"}, {"answer": "yes", "channel": channel, "assurance": "client"})
    return f"{agreed['protocol']}: {channel}"


def without(bartizan, client):
    """The client has no forms: it is shown what would be sent, and a tool completes the call."""
    world = World(bartizan, f"{client}-plain")
    previewed = world.drive(client, "shown")
    said = previewed["calls"][0]
    expect(said["isError"] and "Nothing was sent" in said["text"] and f"confirm_{TOOL}" in said["text"], "a preview", previewed)
    expect(world.branches() == set(), "nothing was sent", sorted(world.branches()))
    done = world.drive(client, "completed", then=[{"name": f"confirm_{TOOL}", "arguments": {"handle": "$HANDLE"}}])
    expect([call["isError"] for call in done["calls"]] == [True, False], "completed", done)
    world.done({"completed"}, {"answer": "yes", "channel": "confirm-tool", "assurance": "model"})
    return f"{done['protocol']}: confirm-tool"


def elsewhere(bartizan, client):
    """Somebody at the machine answers while the client waits."""
    world = World(bartizan, f"{client}-elsewhere", '[controls.confirm.minimum]\ndestructive = "local"\n')
    failed = []

    def answers():
        try:
            grants(world)
        except (Broken, Wrong, subprocess.SubprocessError) as exc:
            failed.append(exc)

    person = threading.Thread(target=answers)
    person.start()
    out = world.drive(client, "granted")
    person.join()
    expect(not failed, "granting", [str(exc) for exc in failed])
    expect(not out["calls"][0]["isError"], "a yes from elsewhere", out)
    world.done({"granted"}, {"answer": "yes", "channel": "approvals", "assurance": "local"})
    return f"{out['protocol']}: approvals"


def grants(world):
    bartizan, state = world.gateway.bartizan, world.gateway.state
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        listed = subprocess.run([bartizan, "approvals", "list", "--format", "json", *state], env=matrix.ENV, capture_output=True, text=True)
        held = json.loads(listed.stdout or "{}").get("held", [])
        if held:
            expect(world.branches() == set(), "nobody agreed yet", sorted(world.branches()))
            world.gateway.say("approvals", "grant", held[0]["id"], "--yes", *state)
            return
        time.sleep(0.1)
    raise Wrong("nothing waits")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bartizan", help="the binary", default=str(HERE / "../../target/release/bartizan"))
    parser.add_argument("--client", help=f"clients, of {', '.join(CLIENTS)}")
    options = parser.parse_args()
    if not NODE.exists():
        sys.exit("run tests/real/install first")
    bartizan = str(Path(options.bartizan).resolve(strict=True))
    (matrix.SCRATCH / "home").mkdir(parents=True, exist_ok=True)
    started = time.monotonic()

    def run(client):
        # The Inspector cannot show a form, and starts a gateway per operation, so that no preview outlives it.
        scenes = [elsewhere] if client.startswith("inspector") else [with_forms, without, elsewhere]
        wrong = 0
        for scene in scenes:
            try:
                say(f"{client}/{scene.__name__}: {scene(bartizan, client)}")
            except (Wrong, Broken, KeyError, IndexError, OSError, subprocess.SubprocessError) as exc:
                wrong += 1
                say(f"WRONG {client}/{scene.__name__}: {type(exc).__name__}: {exc}")
        return wrong

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        wrong = sum(pool.map(run, chosen(options.client, CLIENTS, "client")))
    say(f"{wrong} wrong, {time.monotonic() - started:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
