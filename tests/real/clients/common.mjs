// What the TypeScript drivers share: the command line, the plan, the canonical output.
// The same thing as common.py: keep the two alike.
import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
export const real = resolve(process.env.BARTIZAN_REAL ?? join(here, "../../../target/real"));
// The packages are installed outside the source tree, where a plain import would not look.
export const load = createRequire(join(real, "npm/package.json"));

// key in the wire's result, key in the output, capability that must be offered, what identifies an entry, method
const LISTS = [
  ["tools", "tools", "tools", "name", "listTools"],
  ["resources", "resources", "resources", "uri", "listResources"],
  ["resourceTemplates", "templates", "resources", "uriTemplate", "listResourceTemplates"],
  ["prompts", "prompts", "prompts", "name", "listPrompts"],
];

export function options() {
  const args = process.argv.slice(2);
  const found = {};
  while (args.length) {
    const flag = args.shift();
    if (flag === "--stdio" && args.length) found.stdio = args.splice(0);
    else if (flag === "--url" && args.length) found.url = args.shift();
    else if (flag === "--token" && args.length) found.token = args.shift();
    else break;
  }
  if (!found.url === !found.stdio) {
    console.error("usage: DRIVER (--url URL [--token TOKEN] | --stdio CMD ARG...), plan in $PLAN");
    process.exit(2);
  }
  found.headers = found.token ? { Authorization: `Bearer ${found.token}` } : {};
  return found;
}

const REFUSAL = "io.github.bartizan-security/refusal";
const raw = JSON.parse(process.env.PLAN ?? "{}");
export const plan = {
  era: raw.era ?? "auto",
  calls: raw.call ?? [],
  reads: raw.read ?? [],
  prompts: raw.prompt ?? [],
  completes: raw.complete ?? [],
  // What the client answers when the server asks back; only what has an answer is declared.
  answer: raw.answer ?? {},
};

const sorted = (value) =>
  Array.isArray(value)
    ? value.map(sorted)
    : value && typeof value === "object"
      ? Object.fromEntries(Object.keys(value).sort().map((key) => [key, sorted(value[key])]))
      : value;

const digest = (value) => createHash("sha256").update(JSON.stringify(sorted(value))).digest("hex").slice(0, 12);

const texts = (blocks) =>
  blocks.map((block) => block.content ?? block).filter((block) => "text" in block).map((block) => block.text).join("\n");

export class Recorder {
  out = {
    ...{ protocol: null, server: null, instructions: null, definitions: {} },
    ...{ tools: [], resources: [], templates: [], prompts: [] },
    ...{ calls: [], reads: [], promptsGot: [], completions: [], asked: [], errors: [] },
  };
  connected = false;
  doing = "connect";

  constructor(client) {
    this.out.client = client;
  }

  asked(method, message) {
    this.out.asked.push({ method, message });
  }

  fail(error) {
    const code = typeof error.code === "number" ? error.code : null;
    const message = code === null ? `${error.name}: ${error.message}` : error.message;
    this.out.errors.push({ op: this.doing, code, message });
  }

  // Runs one operation; its failure is a finding about the server, not the end of the run.
  async attempt(doing, op) {
    this.doing = doing;
    try {
      return await op();
    } catch (error) {
      this.fail(error);
    }
  }

  hello({ protocol, server, instructions }) {
    this.connected = true;
    this.out.protocol = protocol ?? null;
    this.out.server = { name: server?.name ?? null, version: server?.version ?? null };
    this.out.instructions = instructions ? digest(instructions) : null;
  }

  // `session` offers the SDK's method names; call takes a progress callback as its third argument.
  async perform(session, capabilities) {
    for (const [key, name, capability, identity, method] of LISTS) {
      if (!capabilities?.[capability]) continue;
      const all = async () => {
        const found = {};
        let cursor;
        do {
          const page = await session[method](cursor ? { cursor } : undefined);
          for (const entry of page[key]) found[entry[identity]] = entry;
          cursor = page.nextCursor;
        } while (cursor);
        return found;
      };
      const found = (await this.attempt(`list ${name}`, all)) ?? {};
      this.out[name] = Object.keys(found).sort();
      // A gateway that loses a field of a definition must be noticed, and so must one that adds one.
      this.out.definitions[name] = Object.fromEntries(this.out[name].map((entry) => [entry, digest(found[entry])]));
    }
    let handle;
    for (const { name, arguments: planned = {}, opaque } of plan.calls) {
      const progress = [];
      // What completes the call before, where the gateway answered that one with a preview.
      const given = Object.fromEntries(Object.entries(planned).map(([key, value]) => [key, value === "$HANDLE" ? handle : value]));
      const onprogress = (step) => progress.push([step.progress, step.total ?? null, step.message ?? null]);
      const result = await this.attempt(`call ${name}`, () => session.call(name, given, onprogress));
      if (!result) continue;
      handle = result._meta?.[REFUSAL]?.handle;
      const content = result.content ?? [];
      const said = { text: texts(content), structured: result.structuredContent ?? null, digest: digest(content) };
      this.out.calls.push({
        name,
        isError: result.isError ?? false,
        kinds: content.map((block) => block.type),
        // Only the first: the last may overtake the result, and then the SDKs drop it.
        progress: progress[0] ?? null,
        ...(opaque ? {} : said),
      });
    }
    for (const uri of plan.reads) {
      const result = await this.attempt(`read ${uri}`, () => session.readResource({ uri }));
      if (!result) continue;
      this.out.reads.push({ uri, text: texts(result.contents).slice(0, 200), digest: digest(result.contents) });
    }
    for (const { name, arguments: given = {} } of plan.prompts) {
      const result = await this.attempt(`prompt ${name}`, () => session.getPrompt({ name, arguments: given }));
      if (!result) continue;
      this.out.promptsGot.push({ name, text: texts(result.messages).slice(0, 200), digest: digest(result.messages) });
    }
    for (const { ref, argument } of plan.completes) {
      const result = await this.attempt("complete", () => session.complete({ ref, argument }));
      if (result) this.out.completions.push(result.completion.values);
    }
    this.doing = "close";
  }
}

// Runs `body(recorder)`, prints the one object, and ends the process.
export async function main(client, body, seconds = 60) {
  const recorder = new Recorder(client);
  const late = new Promise((_, reject) => setTimeout(() => reject(new Error("out of time")), seconds * 1000));
  await Promise.race([body(recorder), late]).catch((error) => recorder.fail(error));
  const line = JSON.stringify(sorted(recorder.out)) + "\n";
  process.stdout.write(line, () => process.exit(recorder.connected ? 0 : 1));
}
