#!/usr/bin/env python3
"""Real packages are pinned: approved, run, upgraded to another real version, and refused until reviewed.

Fetches from the npm and PyPI registries, once per version; exit 0 when everything is as it must be.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
REAL = Path(os.environ.get("BARTIZAN_REAL", HERE / "../../target/real")).resolve()

# The launcher, an older and a newer version of one server, and arguments.
CASES = {
    "memory": (["npx", "-y", "@modelcontextprotocol/server-memory@{}"], "2026.7.4", "2026.8.31", []),
    "time": (["pipx", "run", "mcp-server-time=={}"], "2026.8.18", "2026.10.19", ["--local-timezone", "UTC"]),
    "uvtime": (["uvx", "mcp-server-time@{}"], "2026.8.18", "2026.10.19", ["--local-timezone", "UTC"]),
}
# A server whose dependencies have newer versions by now, and a day on which they had not.
OLD = (["npx", "-y", "@modelcontextprotocol/server-memory@2026.7.4"], "2026-07-10")
HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "supply", "version": "1"}}


SETTINGS = re.compile(r"(https?|no)_proxy$|SSL_CERT_|NODE_EXTRA_CA_CERTS$|npm_config_|PIP_|UV_", re.I)


class Wrong(Exception):
    pass


class Gateway:
    def __init__(self, bartizan, folder):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        # pip as it was installed for the other tests; pipx does not have to be there.
        path = f"{REAL}/uv/bin:{REAL}/py2/bin:{os.environ['PATH']}"
        # The person's own settings say where the registries are, and whom to trust on the way.
        self.env = {name: value for name, value in os.environ.items() if SETTINGS.match(name)}
        self.env |= {"PATH": path, "HOME": os.environ["HOME"]}
        self.bartizan, self.folder = bartizan, folder
        self.places = ["--state", str(folder / "state"), "--lock", str(folder / "bartizan.lock")]

    def say(self, expected, *words):
        ran = subprocess.run([self.bartizan, *words[:1], *self.places, *words[1:]], env=self.env, stdin=subprocess.DEVNULL,
                             capture_output=True, text=True, timeout=600)
        if ran.returncode != expected:
            raise Wrong(f"bartizan {' '.join(words)}: exit {ran.returncode} instead of {expected}\n{ran.stdout[-800:]}{ran.stderr[-800:]}")
        return ran.stdout + ran.stderr

    def first_answer(self, name, command):
        process = subprocess.Popen([self.bartizan, "run", *self.places, "--name", name, "--", *command], env=self.env,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        process.stdin.write(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HELLO}) + "\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())
        process.stdin.close()
        process.wait(30)
        return answer


def check(name, bartizan):
    words, old, new, arguments = CASES[name]
    gateway = Gateway(bartizan, REAL / "supply" / name)
    command = lambda version: [word.format(version) for word in words] + arguments
    floating = [word.split("@{}")[0].split("=={}")[0] for word in words] + arguments
    told = gateway.say(2, "approve", name, "--all", "--yes", "--", *floating)
    if "artefact.floating" not in told or "VERSION" in told:
        raise Wrong(f"{name}: the command that pins it is not told: {told}")
    gateway.say(0, "approve", name, "--all", "--yes", "--", *command(old))
    answer = gateway.first_answer(name, command(old))
    if "serverInfo" not in answer.get("result", {}):
        raise Wrong(f"{name}: approved, and it does not run: {answer}")
    answer = gateway.first_answer(name, command(new))
    if '"reason": "artefact.changed"' not in json.dumps(answer.get("error")):
        raise Wrong(f"{name}: the upgrade is not refused: {answer}")
    told = gateway.say(10, "diff", name, "--", *command(new))
    for line in (f'- version = "{old}"', f'+ version = "{new}"'):
        if line not in told:
            raise Wrong(f"{name}: {line!r} is not in the difference: {told[:1500]}")
    gateway.say(0, "approve", name, "--all", "--yes", "--", *command(new))
    gateway.say(0, "diff", name, "--", *command(new))
    print(f"{name}: {old} -> {new} refused, shown, approved", flush=True)


def parts(gateway):
    return re.findall(r'^  "(.*)",$', (gateway.folder / "bartizan.lock").read_text(), re.M)


def moved(bartizan):
    """What comes along with a package has moved on since the review: another machine gets what was reviewed."""
    command, day = OLD
    gateways = {name: Gateway(bartizan, REAL / "supply" / name) for name in ("old", "new", "elsewhere")}
    # npm's own setting: nothing that was published later.
    settings = gateways["old"].folder / "npmrc"
    own = Path(os.environ["HOME"]) / ".npmrc"
    settings.write_text((own.read_text() if own.exists() else "") + f"\nbefore={day}\n")
    gateways["old"].env["npm_config_userconfig"] = str(settings)
    for name in ("old", "new"):
        gateways[name].say(0, "approve", "memory", "--all", "--yes", "--", *command)
    old, new = parts(gateways["old"]), parts(gateways["new"])
    if not old or set(old) == set(new):
        raise Wrong(f"moved: nothing that comes along has changed since {day}, so this shows nothing")
    shutil.copy(gateways["old"].folder / "bartizan.lock", gateways["elsewhere"].folder)
    answer = gateways["elsewhere"].first_answer("memory", command)
    if "serverInfo" not in answer.get("result", {}):
        raise Wrong(f"moved: it does not run as it was approved: {answer}")
    gateways["elsewhere"].say(0, "diff", "memory", "--", *command)
    print(f"moved: {len(set(old) - set(new))} of {len(old)} packages have newer versions, and it runs as it was approved", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bartizan", required=True)
    parser.add_argument("--only", default=",".join([*CASES, "moved"]))
    options = parser.parse_args()
    failed = 0
    for name in options.only.split(","):
        try:
            bartizan = str(Path(options.bartizan).resolve(strict=True))
            moved(bartizan) if name == "moved" else check(name, bartizan)
        except (Wrong, OSError, ValueError, subprocess.SubprocessError) as exc:
            print(f"WRONG {name}: {exc}", flush=True)
            failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main())
