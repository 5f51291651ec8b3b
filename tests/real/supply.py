#!/usr/bin/env python3
"""Real packages are pinned: approved, run, upgraded to another real version, and refused until reviewed.

Fetches from the npm and PyPI registries, once per version; exit 0 when everything is as it must be.
"""
import argparse
import json
import os
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
}
HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "supply", "version": "1"}}


class Wrong(Exception):
    pass


class Gateway:
    def __init__(self, bartizan, folder):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        # pip as it was installed for the other tests; pipx does not have to be there.
        path = f"{REAL}/py2/bin:{os.environ['PATH']}"
        # The person's own settings say where the registries are.
        self.env = {"PATH": path, "HOME": os.environ["HOME"]}
        self.bartizan = bartizan
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


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bartizan", required=True)
    parser.add_argument("--only", default=",".join(CASES))
    options = parser.parse_args()
    failed = 0
    for name in options.only.split(","):
        try:
            check(name, str(Path(options.bartizan).resolve(strict=True)))
        except (Wrong, OSError, ValueError, subprocess.SubprocessError) as exc:
            print(f"WRONG {name}: {exc}", flush=True)
            failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main())
