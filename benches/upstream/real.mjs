// A server as people write them, with the TypeScript SDK: it offers the tools of another server, and makes its list anew
// each time, as the SDK does. What stands before it is compared with a real server's own list by it.
//
//     BARTIZAN_REAL=target/real node real.mjs TOOLS_URL PORT
import { createRequire } from "node:module";
import { createServer } from "node:http";
import { randomUUID } from "node:crypto";
import { join, resolve } from "node:path";

const load = createRequire(join(resolve(process.env.BARTIZAN_REAL ?? "target/real"), "npm/package.json"));
const { Server } = load("@modelcontextprotocol/sdk/server/index.js");
const { StreamableHTTPServerTransport } = load("@modelcontextprotocol/sdk/server/streamableHttp.js");
const { ListToolsRequestSchema } = load("@modelcontextprotocol/sdk/types.js");

const [, , url, port] = process.argv;
const asked = await fetch(url, {
  method: "POST",
  headers: { "content-type": "application/json", accept: "application/json, text/event-stream", "mcp-protocol-version": "2025-11-25" },
  body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/list" }),
});
const { tools } = (await asked.json()).result;

const sessions = new Map();

async function begin() {
  const server = new Server({ name: "real", version: "1" }, { capabilities: { tools: {} } });
  server.setRequestHandler(ListToolsRequestSchema, () => ({ tools }));
  const transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    enableJsonResponse: true,
    onsessioninitialized: (id) => sessions.set(id, transport),
  });
  await server.connect(transport);
  return transport;
}

createServer(async (request, response) => {
  const transport = sessions.get(request.headers["mcp-session-id"]) ?? (await begin());
  await transport.handleRequest(request, response);
}).listen(Number(port), "127.0.0.1");
