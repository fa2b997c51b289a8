// The copilot's client library against a server that makes it complain, one scenario after the other.
//   node client.mjs NODE_MODULES BASE_URL FREE_PORT
import { pathToFileURL } from "node:url";

const [packages, base, nobody] = process.argv.slice(2);
const load = (path) => import(pathToFileURL(`${packages}/${path}`));
const { createMCPClient } = await load("@ai-sdk/mcp/dist/index.js");
const { Agent, setGlobalDispatcher } = await load("undici/index.js").then((module) => module.default ?? module);

async function scenario(name, url, { handshake = true, call, patience = 1000, timeout } = {}) {
  console.log(`=== ${name}`);
  setGlobalDispatcher(new Agent({ bodyTimeout: patience, headersTimeout: patience }));
  try {
    const client = await createMCPClient({
      transport: { type: "http", url },
      protocolVersionDiscovery: handshake ? false : undefined,
      onUncaughtError: (error) => console.log("[MCP mixpanel_data] uncaught", error),
    });
    const tools = await client.tools();
    if (call) {
      const waiting = tools[call].execute({}, { messages: [], toolCallId: "1", ...(timeout ? { timeout } : {}) });
      // After a body timeout the call never settles.
      await Promise.race([waiting, new Promise((resolve) => setTimeout(resolve, 2500))]);
    }
    await client.close();
  } catch (error) {
    console.log(error);
  }
}

await scenario("sessions", `${base}/mcp`);
await scenario("redirect", `${base}/mcp/`);
await scenario("nobody", `http://127.0.0.1:${nobody}/mcp`);
await scenario("path", `${base}/other`);
await scenario("body", `${base}/mcp`, { call: "block" });
await new Promise((resolve) => setTimeout(resolve, 3000));
await scenario("headers", `${base}/mcp`, { call: "block", handshake: false });
await new Promise((resolve) => setTimeout(resolve, 3000));

console.log("=== deadline");
const client = await createMCPClient({ transport: { type: "http", url: `${base}/mcp` } });
await client.callTool({ name: "block", arguments: {}, options: { timeout: 300 } }).catch((error) => console.log(error));
await client.close().catch((error) => console.log(error));
await new Promise((resolve) => setTimeout(resolve, 3500));

console.log("=== dead");
// The id that the refusal of a GET carries, adopted as a fast client does.
const refused = await fetch(`${base}/mcp`, { headers: { accept: "text/event-stream" } });
await createMCPClient({
  transport: { type: "http", url: `${base}/mcp`, headers: { "mcp-session-id": refused.headers.get("mcp-session-id") } },
  protocolVersionDiscovery: false,
  onUncaughtError: () => {},
}).then((lost) => lost.tools()).catch((error) => console.log(error));
process.exit(0);
