// Inspector 2.x in its command-line mode: one process, so one connection, per operation, which is slow.
// So it lists only tools and takes only the first resource and prompt of a plan; and it cannot complete,
// report progress or answer what a server asks.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { main, options, plan, real } from "./common.mjs";

const { stdio, url, token } = options();
const cli = join(real, "npm/node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js");
// It keeps a catalogue and secrets in the home directory; an own one makes runs independent of each other.
const home = mkdtempSync(join(tmpdir(), "inspector-"));

const target = url
  ? ["--server-url", url, "--transport", "http", ...(token ? ["--header", `Authorization: Bearer ${token}`] : [])]
  : stdio;

function inspect(method, ...rest) {
  const flags = ["--cli", "--format", "json", "-q", "--stored-auth-only", "--connect-timeout", "60000", "--protocol-era", plan.era];
  const separator = url ? [] : ["--"];
  // The target follows `--` because its own options must not be taken for the Inspector's.
  const args = [cli, ...flags, "--method", method, ...rest, ...separator, ...target];
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { env: { ...process.env, HOME: home } });
    let [out, err] = ["", ""];
    child.stdout.on("data", (chunk) => (out += chunk));
    child.stderr.on("data", (chunk) => (err += chunk));
    child.on("close", (code) => {
      const line = (text) => text.trim().split("\n").findLast((part) => part.startsWith("{"));
      // A tool result with isError is printed as a result although the exit code is not 0.
      if (line(out)) return resolve(JSON.parse(line(out)).result);
      const { error } = JSON.parse(line(err) ?? "{}");
      const text = error ? `${error.code}: ${error.message}` : `exit ${code}: ${err.trim().split("\n").at(-1)}`;
      reject(new Error(text));
    });
  });
}

await main("inspector", async (recorder) => {
  const hello = await inspect("initialize");
  recorder.hello({ protocol: hello.protocolVersion, server: hello.serverInfo, instructions: hello.instructions });
  plan.calls = plan.calls.filter((call) => !call.asks);
  plan.reads.splice(1);
  plan.prompts.splice(1);
  plan.completes.splice(0);
  const json = (value) => JSON.stringify(value);
  await recorder.perform(
    {
      // The Inspector follows cursors itself.
      listTools: () => inspect("tools/list"),
      call: (name, given) => inspect("tools/call", "--tool-name", name, "--tool-args-json", json(given)),
      readResource: ({ uri }) => inspect("resources/read", "--uri", uri),
      getPrompt: ({ name, arguments: given }) => {
        const pairs = Object.entries(given).map(([key, value]) => `${key}=${json(value)}`);
        return inspect("prompts/get", "--prompt-name", name, ...(pairs.length ? ["--prompt-args", ...pairs] : []));
      },
    },
    { tools: hello.capabilities.tools },
  );
  // A process per operation, and some servers take two seconds to end.
}, 180).finally(() => rmSync(home, { recursive: true, force: true }));
