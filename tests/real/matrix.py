#!/usr/bin/env python3
"""Real clients against real servers, directly and through the gateway: both must show the client the same.

    tests/real/install && tests/real/matrix.py --bartizan target/release/bartizan
    tests/real/matrix.py --direct-only      # no gateway: each pair twice, which shows whether a plan is deterministic

A cell is a client, a server and a road. Roads:
    stdio       client --stdio-- bartizan run --stdio-- server
    http-stdio  client --http--- bartizan serve --stdio-- server   (direct: over stdio)
    http-http   client --http--- bartizan serve --http--- server   (direct: over HTTP)
"""

import argparse
import concurrent.futures
import fcntl
import fnmatch
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, nullcontext
from pathlib import Path

HERE = Path(__file__).resolve().parent
REAL = Path(os.environ.get("BARTIZAN_REAL", HERE / "../../target/real")).resolve()
SCRATCH = REAL / "matrix"
NODE = REAL / "npm/node_modules/.bin/node"
PLACES = {"real": str(REAL), "node": str(NODE), "modules": str(REAL / "npm/node_modules")}
ROADS = ("stdio", "http-stdio", "http-http")
DRIVER_SECONDS = 240  # above every driver's own limit

# client -> its driver and the era its plan asks for
CLIENTS = {
    "py1": ([REAL / "py1/bin/python", HERE / "clients/py1.py"], "legacy"),
    "py2": ([REAL / "py2/bin/python", HERE / "clients/py2.py"], "auto"),
    "fastmcp": ([REAL / "py2/bin/python", HERE / "clients/fastmcp_client.py"], "auto"),
    "ts1": ([NODE, HERE / "clients/ts1.mjs"], "legacy"),
} | {
    f"{name}-{era}": ([NODE, HERE / f"clients/{name}.mjs"], era)
    for name in ("ts2", "inspector")
    for era in ("legacy", "auto", "modern")
}

ENV = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")} | {
    # Nothing of the person's own git, npm or Inspector settings may reach an answer.
    "HOME": str(SCRATCH / "home"),
    "PATH": f"{NODE.parent}:{os.environ['PATH']}",
    "BARTIZAN_REAL": str(REAL),
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
}

printing = threading.Lock()


def say(*words, sep=" "):
    with printing:
        print(*words, sep=sep, flush=True)


class Broken(Exception):
    """The road could not be set up; every cell on it fails with these words."""


def fill(value, **places):
    """Replaces {placeholders} anywhere inside strings, lists and objects."""
    if isinstance(value, str):
        for key, place in (PLACES | places).items():
            value = value.replace("{" + key + "}", place)
        return value
    if isinstance(value, list):
        return [fill(item, **places) for item in value]
    return {key: fill(item, **places) for key, item in value.items()} if isinstance(value, dict) else value


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextmanager
def serving(argv, port, log):
    """Runs a process until it listens on the port; ends it afterwards, and objects if it does not want to end."""
    with open(log, "ab") as sink:
        process = subprocess.Popen(
            argv, env=ENV, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, start_new_session=True
        )
    try:
        deadline = time.monotonic() + 30
        while True:
            if process.poll() is not None:
                raise Broken(f"{Path(argv[0]).name} ended with {process.returncode}, see {log}")
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise Broken(f"nothing listens on {port}, see {log}") from None
                time.sleep(0.05)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            say(f"  {Path(argv[0]).name} had to be killed, see {log}")


class Server:
    """One real server: its scratch directory, and runs of drivers against it."""

    def __init__(self, name, described):
        self.name = name
        self.dir = SCRATCH / name
        self.tmp = self.dir / "tmp"
        self.described = fill(described, tmp=str(self.tmp))
        self.roads = [road for road in ROADS if road != "http-http" or "http" in described]
        # A server that keeps what clients write needs a new start for each of them.
        self.keeps = "write" in described["effects"].values()
        shutil.rmtree(self.dir, ignore_errors=True)
        self.dir.mkdir(parents=True)

    def prepare(self):
        """The same beginning for every run, at the same place: paths and hashes show in answers."""
        shutil.rmtree(self.tmp, ignore_errors=True)
        self.tmp.mkdir()
        for name, text in self.described.get("files", {}).items():
            (self.tmp / name).parent.mkdir(parents=True, exist_ok=True)
            (self.tmp / name).write_text(text)
        if repo := self.described.get("repo"):
            who = {"NAME": "Real", "EMAIL": "real@example.invalid", "DATE": "2026-01-02T03:04:05Z"}
            env = ENV | {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in who.items()}
            for command in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-qm", "first"]):
                subprocess.run(["git", *command], cwd=self.tmp / repo, env=env, check=True)

    def drive(self, client, label, target):
        """One run of one driver: its canonical object."""
        argv, era = CLIENTS[client]
        plan = json.dumps(self.described["plan"] | {"era": era})
        log_file = self.dir / f"{label}.{client}.log"
        with open(log_file, "wb") as log:
            try:
                ran = subprocess.run(
                    [*map(str, argv), *target],
                    env=ENV | {"PLAN": plan},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    timeout=DRIVER_SECONDS,
                )
                out = json.loads(ran.stdout)
            except (subprocess.TimeoutExpired, json.JSONDecodeError) as exc:
                out = {"server": None, "broken": f"{type(exc).__name__}, see {log_file}"}
        (self.dir / f"{label}.{client}.json").write_text(json.dumps(out, indent=1, sort_keys=True))
        return out

    @contextmanager
    def upstream(self):
        """The server on HTTP: its URL."""
        port = free_port()
        http = fill(self.described["http"], port=str(port))
        with serving(http["argv"], port, self.dir / "upstream.log"):
            yield f"http://127.0.0.1:{port}{http['path']}"

    def direct(self, clients, url, label="direct"):
        """Yields (client, output) without a gateway."""
        for client in clients:
            self.prepare()
            target = ["--url", url] if url else ["--stdio", *self.described["stdio"]]
            yield client, self.drive(client, f"{label}-http" if url else label, target)


class Gateway:
    """The gateway in front of one server on one road, with a state directory of its own."""

    def __init__(self, bartizan, server, road):
        self.bartizan = bartizan
        self.server = server
        self.road = road
        self.state = ["--state", str(server.dir / f"{road}.state")]
        self.paths = [*self.state, "--lock", str(server.dir / f"{road}.lock")]

    def say(self, *args):
        """Runs one command that ends by itself; its standard output."""
        command = [self.bartizan, *args]
        ran = subprocess.run(command, env=ENV, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
        with open(self.server.dir / f"{self.road}.bartizan.log", "a") as log:
            log.write(f"$ {' '.join(command)}\n{ran.stdout}{ran.stderr}exit {ran.returncode}\n")
        if ran.returncode != 0:
            raise Broken(f"bartizan {args[0]}: exit {ran.returncode}: {(ran.stderr or ran.stdout).strip()[-300:]}")
        return ran.stdout.strip()

    def approve(self, *where, command=()):
        effects = [f"{tool}={effect}" for tool, effect in self.server.described["effects"].items()]
        flags = [word for effect in effects for word in ("--effect", effect)]
        self.server.prepare()
        self.say("approve", *where, *self.paths, self.server.name, "--all", "--yes", *flags, *command)
        self.vouch()

    def vouch(self):
        """Says that what is returned steers nobody, so that reading holds no writing, and that the next client, which makes
        the same calls a moment later in a world made anew, does not repeat those of this one. Both are tested elsewhere."""
        lock = self.server.dir / f"{self.road}.lock"

        def vouched(block):
            if re.search('\nkind = "(server|instructions)"', block) or "\nreturns = " in block:
                return block
            if '\nkind = "resource"' in block:
                # The Python SDK calls the bytes of a resource text/plain where its author says nothing.
                block = block.replace("\neffect = ", '\nbinary = ["text/plain"]\neffect = ', 1)
            block = block.replace('\neffect = "write"', '\nonce = "key"\neffect = "write"', 1)
            return block.replace("\neffect = ", '\nreturns = "public"\neffect = ', 1)

        lock.write_text("\n\n".join(vouched(block) for block in lock.read_text().split("\n\n")))

    def through(self, clients, url):
        """Yields (client, output) through the gateway."""
        return self.through_stdio(clients) if self.road == "stdio" else self.through_http(clients, url)

    def configure(self, upstream, head=""):
        """Writes the configuration file; a server may need settings that loosen a default."""
        config = self.server.dir / f"{self.road}.toml"
        # JSON's strings, lists of strings and truth values are TOML's too.
        table = upstream | self.server.described.get("settings", {})
        lines = [f"{key} = {json.dumps(value)}" for key, value in table.items()]
        # What is compared is what passes: nothing is written around it, and that a person is asked about writes is
        # tested elsewhere. All else is as by default.
        plain = ["[controls.provenance]", 'results = "off"', "[controls.confirm]", 'write = "never"']
        lines += self.confined() if "command" in upstream else []
        config.write_text("\n".join([head, *plain, f"[servers.{self.server.name}]", *lines, ""]))
        return ["--config", str(config)]

    def confined(self):
        """What the server is granted beside its program, as lines of its table."""
        return [f"confine.{key} = {json.dumps(value)}" for key, value in self.server.described.get("confine", {}).items()]

    def through_stdio(self, clients):
        command = ["--", *self.server.described["stdio"]]
        config = self.configure({"command": command[1:]})
        self.approve(*config, command=command)
        target = ["--stdio", self.bartizan, "run", *config, *self.paths, "--name", self.server.name, *command]
        for client in clients:
            self.server.prepare()
            yield client, self.server.drive(client, self.road, target)

    def through_http(self, clients, url):
        port = free_port()
        upstream = {"url": url} if url else {"command": self.server.described["stdio"]}
        config = self.configure(upstream, f'[listen]\naddress = "127.0.0.1:{port}"\n')
        self.approve(*config)
        token = self.say("token", "issue", *self.state, "--label", "matrix")
        target = ["--url", f"http://127.0.0.1:{port}/mcp/{self.server.name}", "--token", token]
        # One gateway for all clients where that is possible: eras and sessions must not leak between them.
        for batch in [[client] for client in clients] if self.server.keeps else [clients]:
            self.server.prepare()
            argv = [self.bartizan, "serve", *config, *self.paths]
            with serving(argv, port, self.server.dir / f"{self.road}.serve.log"):
                for client in batch:
                    yield client, self.server.drive(client, self.road, target)


def paths(one, other, at=""):
    """Where two canonical objects differ, as dotted paths to the leaves."""
    if isinstance(one, dict) and isinstance(other, dict):
        return [
            path
            for key in sorted(one.keys() | other.keys())
            for path in paths(one.get(key), other.get(key), f"{at}.{key}" if at else key)
        ]
    return [] if one == other else [at]


def compare(direct, through):
    """(verdict, where they differ); a pair that cannot even connect directly is `neither`, not `equal`."""
    if "broken" in direct or "broken" in through:
        return "broken", ["broken"]
    connected = [out["server"] is not None for out in (direct, through)]
    if connected == [False, False]:
        return "neither", []
    found = paths(direct, through) if all(connected) else ["connect"]
    return ("differs" if found else "equal"), found


def tour(server, clients, roads, options, results):
    """All cells of one server, one after the other: they share its scratch directory."""
    direct = {}

    def cell(road, client, verdict, found=(), why=""):
        keys = sorted({path.split(".")[0] for path in found})
        protocol = direct.get((road == "http-http", client), {}).get("protocol")
        results[f"{server.name}/{road}/{client}"] = {
            "verdict": verdict, "keys": keys, "paths": list(found), "protocol": protocol, "why": why,
        }
        about = [verdict, protocol or "", ", ".join(found[:6]) if keys != [verdict] else "", why]
        say(f"{server.name}/{road}/{client}: {' '.join(filter(None, about))}")

    for road in [road for road in server.roads if road in roads]:
        todo = list(clients)
        gateway = None if options.direct_only else Gateway(options.bartizan, server, road)
        try:
            with server.upstream() if road == "http-http" else nullcontext() as url:
                if not all((bool(url), client) in direct for client in clients):
                    for client, out in server.direct(clients, url):
                        direct[bool(url), client] = out
                runs = gateway.through(clients, url) if gateway else server.direct(clients, url, "again")
                for client, out in runs:
                    cell(road, client, *compare(direct[bool(url), client], out), out.get("broken", ""))
                    todo.remove(client)
        except (Broken, OSError, subprocess.SubprocessError) as exc:
            for client in todo:
                cell(road, client, "broken", ["broken"], str(exc))
        if gateway:
            try:
                gateway.say("audit", "verify", *gateway.state)
                results[f"{server.name}/{road}/audit"] = {"verdict": "equal", "keys": [], "paths": []}
            except Broken as exc:
                cell(road, "audit", "differs", ["audit"], str(exc))


def judge(results, expected, complete):
    """What is wrong: differences without an entry, and entries that no longer say the truth."""
    wrong = []
    allowed = {}
    for entry in expected:
        matched = [cell for cell in results if any(fnmatch.fnmatch(cell, pattern) for pattern in entry["cells"])]
        if complete and not matched:
            wrong.append(f"no cell matches {entry['cells']}: {entry['reason']}")
        for cell in matched:
            allowed.setdefault(cell, set()).update(entry["keys"])
            missing = sorted(set(entry["keys"]) - set(results[cell]["keys"]))
            if missing:
                wrong.append(f"{cell}: listed as different in {', '.join(missing)}, but is not: {entry['reason']}")
    for cell, result in results.items():
        extra = sorted(set(result["keys"]) - allowed.get(cell, set()))
        if extra:
            wrong.append(f"{cell}: {', '.join(extra)}")
    return wrong


def table(results, road):
    """Rows of one road: clients down, servers across."""
    cells = {tuple(cell.split("/")): result for cell, result in results.items()}
    servers = list(dict.fromkeys(server for server, at, _ in cells if at == road))
    clients = list(dict.fromkeys(client for _, at, client in cells if at == road))
    rows = [[road, *servers]]
    for client in clients:
        found = [cells.get((server, road, client)) for server in servers]
        rows.append([client, *((", ".join(one["keys"]) or one["verdict"]) if one else "" for one in found)])
    return rows


def report(results, wrong, markdown):
    lines = ["# Real clients against real servers", ""]
    for road in ROADS:
        rows = table(results, road)
        if len(rows) == 1:
            continue
        widths = [max(map(len, column)) for column in zip(*rows)]
        text = [" | ".join(word.ljust(width) for word, width in zip(row, widths)) for row in rows]
        say("", *text, sep="\n")
        lines += [f"| {text[0]} |", "|" + " --- |" * len(rows[0]), *(f"| {line} |" for line in text[1:]), ""]
    for line in wrong:
        say(f"WRONG {line}")
    if markdown:
        lines += ["`neither`: this client does not connect to this server without the gateway either.", ""]
        Path(markdown).write_text("\n".join(lines))


def chosen(text, known, what):
    """A comma-separated option; a client may be named without its era."""
    if not text:
        return list(known)
    wanted = text.split(",")
    found = [name for name in known if any(name == one or name.startswith(f"{one}-") for one in wanted)]
    if not found:
        sys.exit(f"no such {what}; there are: {', '.join(known)}")
    return found


def main():
    described = json.loads((HERE / "servers.json").read_text())
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bartizan", help="the binary", default=str(HERE / "../../target/release/bartizan"))
    parser.add_argument("--only", help=f"servers, of {', '.join(described)}")
    parser.add_argument("--client", help=f"clients, of {', '.join(CLIENTS)}")
    parser.add_argument("--road", help=f"roads, of {', '.join(ROADS)}")
    parser.add_argument("--direct-only", action="store_true", help="two direct runs, compared with each other")
    parser.add_argument("--jobs", type=int, default=2, help="servers visited at the same time")
    parser.add_argument("--markdown", help="write the tables here as well")
    options = parser.parse_args()
    servers = chosen(options.only, described, "server")
    clients = chosen(options.client, CLIENTS, "client")
    roads = chosen(options.road, ROADS, "road")
    if not NODE.exists():
        sys.exit("run tests/real/install first")
    if options.direct_only:
        roads = [road for road in roads if road != "http-stdio"]  # without a gateway the same as stdio
    else:
        options.bartizan = str(Path(options.bartizan).resolve(strict=True))
    (SCRATCH / "home").mkdir(parents=True, exist_ok=True)

    # Two runs at once would wipe each other's scratch directories.
    lock = open(SCRATCH / ".lock", "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("another run is on its way; waiting for it")
        fcntl.flock(lock, fcntl.LOCK_EX)

    started = time.monotonic()
    results = {}
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        # The longest first, or one of them runs alone at the end.
        order = sorted(servers, key=lambda name: "http" not in described[name])
        tours = [pool.submit(tour, Server(name, described[name]), clients, roads, options, results) for name in order]
        for done in tours:
            done.result()
    results = {
        f"{server}/{road}/{client}": results[f"{server}/{road}/{client}"]
        for road in roads for server in servers for client in [*clients, "audit"]
        if f"{server}/{road}/{client}" in results
    }
    expected = [] if options.direct_only else json.loads((HERE / "expected.json").read_text())
    wrong = judge(results, expected, complete=not (options.only or options.client or options.road))
    report(results, wrong, options.markdown)
    (REAL / "matrix.json").write_text(json.dumps({"cells": results, "wrong": wrong}, indent=1))
    counts = {}
    for result in results.values():
        counts[result["verdict"]] = counts.get(result["verdict"], 0) + 1
    say(f"\n{len(results)} cells in {time.monotonic() - started:.0f} s: {counts}; {len(wrong)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
