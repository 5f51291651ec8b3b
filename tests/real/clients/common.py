"""What the Python drivers share: the command line, the plan, the canonical output.

A driver hands `main` a name and an async context manager that connects; see py1.py for the smallest.
common.mjs is the same thing for the TypeScript drivers: keep the two alike.
"""

import asyncio
import hashlib
import json
import logging
import os
import sys

OVERALL_SECONDS = 60
REFUSAL = "io.github.bartizan-security/refusal"

# key in the wire's result -> key in the output, capability that must be offered, what identifies an entry, method
LISTS = {
    "tools": ("tools", "tools", "name", "list_tools"),
    "resources": ("resources", "resources", "uri", "list_resources"),
    "resourceTemplates": ("templates", "resources", "uriTemplate", "list_resource_templates"),
    "prompts": ("prompts", "prompts", "name", "list_prompts"),
}


class Plan:
    def __init__(self, raw):
        self.era = raw.get("era", "auto")
        self.calls = raw.get("call", [])
        self.reads = raw.get("read", [])
        self.prompts = raw.get("prompt", [])
        self.completes = raw.get("complete", [])
        # What the client answers when the server asks back. A capability is declared only when there
        # is an answer, because servers offer more tools to clients that declare more.
        self.answer = raw.get("answer", {})

    @property
    def mode(self):
        """The Python SDK's spelling of the era: a version pins it."""
        return "2026-07-28" if self.era == "modern" else self.era


class Target:
    def __init__(self, options):
        self.command = options["--stdio"]
        self.url = options["--url"]
        token = options["--token"]
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}


def plain(model):
    """A pydantic model as it was on the wire."""
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


def digest(value):
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def texts(blocks):
    """The text of content blocks, prompt messages or resource contents, whichever it is."""
    inner = (block.get("content", block) for block in blocks)
    return "\n".join(block["text"] for block in inner if "text" in block)


class Session:
    """What `perform` needs from a connection. Both SDKs name their methods alike; FastMCP's raw ones end in _mcp."""

    def __init__(self, client, types, suffix="", *, protocol, server, instructions, capabilities):
        self.types = types
        self.method = lambda name: getattr(client, name + suffix)
        self.protocol = protocol
        self.server = plain(server) if server else {}
        self.instructions = instructions
        self.capabilities = plain(capabilities)

    async def page(self, key, cursor):
        return plain(await self.method(LISTS[key][3])(cursor=cursor))

    async def call(self, name, arguments, on_progress):
        async def progress(done, total, message):
            on_progress([done, total, message])

        return plain(await self.method("call_tool")(name, arguments, **{self.progress: progress}))

    progress = "progress_callback"

    async def read(self, uri):
        return plain(await self.method("read_resource")(uri))

    async def prompt(self, name, arguments):
        return plain(await self.method("get_prompt")(name, arguments))

    async def complete(self, ref, argument):
        types = self.types
        kind = types.PromptReference if ref["type"] == "ref/prompt" else types.ResourceTemplateReference
        return plain(await self.method("complete")(kind(**ref), argument))


def handlers(answer, recorder, types):
    """Callbacks for what a server may ask, as both SDKs' sessions take them; FastMCP takes other shapes."""

    async def sample(_context, params):
        recorder.asked("sampling/createMessage", params.messages[0].content.text)
        return sampled(answer, types)

    async def elicit(_context, params):
        recorder.asked("elicitation/create", params.message)
        return types.ElicitResult(action="accept", content=answer["elicitation"])

    async def roots(_context):
        return types.ListRootsResult(roots=[types.Root(uri=uri) for uri in answer["roots"]])

    return {
        "sampling_callback": sample if "sampling" in answer else None,
        "elicitation_callback": elicit if "elicitation" in answer else None,
        "list_roots_callback": roots if "roots" in answer else None,
    }


def sampled(answer, types):
    content = types.TextContent(type="text", text=answer["sampling"])
    return types.CreateMessageResult(role="assistant", content=content, model="matrix", stopReason="endTurn")


class Recorder:
    def __init__(self, client):
        self.out = {"client": client, "protocol": None, "server": None, "instructions": None, "definitions": {}}
        self.out |= {key: [] for key in ("tools", "resources", "templates", "prompts")}
        self.out |= {key: [] for key in ("calls", "reads", "promptsGot", "completions", "asked", "errors")}
        self.connected = False
        self.doing = "connect"

    def asked(self, method, message):
        """Called by the driver's handlers when the server asks the client for something."""
        self.out["asked"].append({"method": method, "message": message})

    def fail(self, exc):
        while isinstance(exc, BaseExceptionGroup) and exc.exceptions:
            exc = exc.exceptions[0]
        error = getattr(exc, "error", None)
        code, message = (error.code, error.message) if error else (None, f"{type(exc).__name__}: {exc}")
        self.out["errors"].append({"op": self.doing, "code": code, "message": message})

    async def attempt(self, doing, op):
        """Runs one operation; its failure is a finding about the server, not the end of the run."""
        self.doing = doing
        try:
            return await op
        except Exception as exc:
            self.fail(exc)

    async def list_all(self, session, key, identity):
        found, cursor = [], None
        while True:
            page = await session.page(key, cursor)
            found += page[key]
            cursor = page.get("nextCursor")
            if not cursor:
                return {entry[identity]: entry for entry in found}

    async def perform(self, session, plan):
        for key, (name, capability, identity, _) in LISTS.items():
            if capability not in session.capabilities:
                continue
            found = await self.attempt(f"list {name}", self.list_all(session, key, identity)) or {}
            self.out[name] = sorted(found)
            # A gateway that loses a field of a definition must be noticed, and so must one that adds one.
            self.out["definitions"][name] = {entry: digest(found[entry]) for entry in sorted(found)}
        handle = None
        for call in plan.calls:
            progress = []
            # What completes the call before, where the gateway answered that one with a preview.
            given = {key: handle if value == "$HANDLE" else value for key, value in call.get("arguments", {}).items()}
            result = await self.attempt(f"call {call['name']}", session.call(call["name"], given, progress.append))
            if result is not None:
                handle = (result.get("_meta") or {}).get(REFUSAL, {}).get("handle")
                content = result.get("content", [])
                said = {
                    "text": texts(content),
                    "structured": result.get("structuredContent"),
                    "digest": digest(content),
                }
                self.out["calls"].append({
                    "name": call["name"],
                    "isError": result.get("isError", False),
                    "kinds": [block["type"] for block in content],
                    # Only the first: the last may overtake the result, and then the SDKs drop it.
                    "progress": progress[0] if progress else None,
                    **({} if call.get("opaque") else said),
                })
        for uri in plan.reads:
            result = await self.attempt(f"read {uri}", session.read(uri))
            if result is not None:
                contents = result["contents"]
                self.out["reads"].append({"uri": uri, "text": texts(contents)[:200], "digest": digest(contents)})
        for prompt in plan.prompts:
            result = await self.attempt(
                f"prompt {prompt['name']}", session.prompt(prompt["name"], prompt.get("arguments", {}))
            )
            if result is not None:
                messages = result["messages"]
                self.out["promptsGot"].append(
                    {"name": prompt["name"], "text": texts(messages)[:200], "digest": digest(messages)}
                )
        for complete in plan.completes:
            result = await self.attempt("complete", session.complete(complete["ref"], complete["argument"]))
            if result is not None:
                self.out["completions"].append(result["completion"]["values"])


async def run(client, connect, target, plan):
    recorder = Recorder(client)
    try:
        async with asyncio.timeout(OVERALL_SECONDS), connect(target, plan, recorder) as session:
            recorder.connected = True
            recorder.out["protocol"] = session.protocol
            recorder.out["server"] = {key: session.server.get(key) for key in ("name", "version")}
            recorder.out["instructions"] = session.instructions and digest(session.instructions)
            await recorder.perform(session, plan)
            recorder.doing = "close"
    except BaseException as exc:  # an SDK may end a failed connection with a cancellation
        recorder.fail(exc)
    print(json.dumps(recorder.out, sort_keys=True, ensure_ascii=False), flush=True)
    return 0 if recorder.connected else 1


def main(client, connect):
    options = {"--url": None, "--token": None, "--stdio": []}
    args = sys.argv[1:]
    # By hand: what follows --stdio is another program's command line, with options and a `--` of its own.
    while len(args) > 1 and args[0] in options:
        flag = args.pop(0)
        options[flag], args = (args, []) if flag == "--stdio" else (args[0], args[1:])
    if args or bool(options["--url"]) == bool(options["--stdio"]):
        sys.exit("usage: DRIVER (--url URL [--token TOKEN] | --stdio CMD ARG...), plan in $PLAN")
    logging.disable(logging.CRITICAL)  # SDK tracebacks on standard error repeat what "errors" says
    code = asyncio.run(run(client, connect, Target(options), Plan(json.loads(os.environ.get("PLAN", "{}")))))
    sys.stdout.flush()
    # Not sys.exit: a transport's leftover thread must not keep a finished driver alive.
    os._exit(code)
