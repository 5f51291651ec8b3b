// The least that a server in Node can be: what is measured with it is its start.
import { createInterface } from "node:readline";

const tool = { name: "echo", inputSchema: { type: "object", properties: { text: { type: "string" } } } };

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  if (asked.id === undefined) continue;
  const answer = { jsonrpc: "2.0", id: asked.id };
  if (asked.method === "initialize") {
    const serverInfo = { name: "small", version: "1" };
    answer.result = { protocolVersion: "2025-11-25", capabilities: { tools: {} }, serverInfo };
  } else if (asked.method === "tools/list") {
    answer.result = { tools: [tool] };
  } else if (asked.method === "tools/call") {
    answer.result = { content: [{ type: "text", text: asked.params.arguments.text }] };
  } else {
    answer.error = { code: -32601, message: "Method not found" };
  }
  console.log(JSON.stringify(answer));
}
