// TypeScript SDK 2.x: legacy unless the plan's era asks for `auto` or `modern` (a pinned version, no fallback).
import { load, main, options, plan } from "./common.mjs";

const { Client, StreamableHTTPClientTransport } = load("@modelcontextprotocol/client");
const { StdioClientTransport } = load("@modelcontextprotocol/client/stdio");

const { stdio, url, headers } = options();

await main("ts2", async (recorder) => {
  const { sampling, elicitation, roots } = plan.answer;
  const capabilities = { ...(sampling && { sampling: {} }), ...(elicitation && { elicitation: {} }), ...(roots && { roots: {} }) };
  const mode = plan.era === "modern" ? { pin: "2026-07-28" } : plan.era;
  const client = new Client({ name: "ts2", version: "1" }, { capabilities, versionNegotiation: { mode } });
  if (sampling)
    client.setRequestHandler("sampling/createMessage", ({ params }) => {
      recorder.asked("sampling/createMessage", params.messages[0].content.text);
      return { role: "assistant", content: { type: "text", text: sampling }, model: "matrix", stopReason: "endTurn" };
    });
  if (elicitation)
    client.setRequestHandler("elicitation/create", ({ params }) => {
      recorder.asked("elicitation/create", params.message);
      return { action: "accept", content: elicitation };
    });
  if (roots) client.setRequestHandler("roots/list", () => ({ roots: roots.map((uri) => ({ uri })) }));

  const transport = url
    ? new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } })
    : new StdioClientTransport({ command: stdio[0], args: stdio.slice(1) });
  await client.connect(transport);
  recorder.hello({
    protocol: client.getNegotiatedProtocolVersion(),
    server: client.getServerVersion(),
    instructions: client.getInstructions(),
  });
  client.call = (name, given, onprogress) => client.callTool({ name, arguments: given }, { onprogress });
  await recorder.perform(client, client.getServerCapabilities());
  if (client.getProtocolEra() === "legacy") await transport.terminateSession?.();
  await client.close();
});
