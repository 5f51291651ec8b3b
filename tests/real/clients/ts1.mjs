// TypeScript SDK 1.x: legacy only.
import { load, main, options, plan } from "./common.mjs";

const { Client } = load("@modelcontextprotocol/sdk/client/index.js");
const { StdioClientTransport } = load("@modelcontextprotocol/sdk/client/stdio.js");
const { StreamableHTTPClientTransport } = load("@modelcontextprotocol/sdk/client/streamableHttp.js");
const types = load("@modelcontextprotocol/sdk/types.js");

const { stdio, url, headers } = options();

await main("ts1", async (recorder) => {
  const { sampling, elicitation, roots } = plan.answer;
  const capabilities = { ...(sampling && { sampling: {} }), ...(elicitation && { elicitation: {} }), ...(roots && { roots: {} }) };
  const client = new Client({ name: "ts1", version: "1" }, { capabilities });
  if (sampling)
    client.setRequestHandler(types.CreateMessageRequestSchema, ({ params }) => {
      recorder.asked("sampling/createMessage", params.messages[0].content.text);
      return { role: "assistant", content: { type: "text", text: sampling }, model: "matrix", stopReason: "endTurn" };
    });
  if (elicitation)
    client.setRequestHandler(types.ElicitRequestSchema, ({ params }) => {
      recorder.asked("elicitation/create", params.message);
      return { action: "accept", content: elicitation };
    });
  if (roots) client.setRequestHandler(types.ListRootsRequestSchema, () => ({ roots: roots.map((uri) => ({ uri })) }));

  let protocol;
  const transport = url
    ? new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } })
    : new StdioClientTransport({ command: stdio[0], args: stdio.slice(1) });
  // The SDK tells only the transport which version was agreed on.
  const told = transport.setProtocolVersion?.bind(transport);
  transport.setProtocolVersion = (version) => {
    protocol = version;
    told?.(version);
  };
  await client.connect(transport);
  recorder.hello({ protocol, server: client.getServerVersion(), instructions: client.getInstructions() });
  client.call = (name, given, onprogress) => client.callTool({ name, arguments: given }, undefined, { onprogress });
  await recorder.perform(client, client.getServerCapabilities());
  await transport.terminateSession?.();
  await client.close();
});
