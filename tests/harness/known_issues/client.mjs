// The copilot's client library against a server that makes it complain, one scenario after the other.
//   node client.mjs NODE_MODULES BASE_URL FREE_PORT
import { pathToFileURL } from "node:url";

const [packages, base, nobody] = process.argv.slice(2);
const load = (path) => import(pathToFileURL(`${packages}/${path}`));
const { createMCPClient } = await load("@ai-sdk/mcp/dist/index.js");
const { Agent, setGlobalDispatcher } = await load("undici/index.js").then((module) => module.default ?? module);

// Under load anything may take long, and what runs into a body time-out never settles: so each scenario ends by itself.
const LONGEST_MS = 15_000;
const ended = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function listed(url, handshake) {
  // Only the call is to be impatient.
  setGlobalDispatcher(new Agent());
  const client = await createMCPClient({
    transport: { type: "http", url },
    protocolVersionDiscovery: handshake ? false : undefined,
    onUncaughtError: (error) => console.log("[MCP mixpanel_data] uncaught", error),
  });
  return { client, tools: await client.tools() };
}

async function played(url, { handshake = true, call, patience = 1000 }) {
  try {
    // A fast client may be lost to a session that is dead; then the next one is luckier.
    const { client, tools } = await listed(url, handshake).catch((error) => (call ? listed(url, handshake) : Promise.reject(error)));
    if (call) {
      setGlobalDispatcher(new Agent({ bodyTimeout: patience, headersTimeout: patience }));
      const waiting = tools[call].execute({}, { messages: [], toolCallId: "1" });
      // After a body timeout the call never settles.
      await Promise.race([waiting, ended(2500)]);
    }
    await client.close();
  } catch (error) {
    console.log(error);
  }
}

async function scenario(name, url, options = {}) {
  console.log(`=== ${name}`);
  await Promise.race([played(url, options), ended(LONGEST_MS)]);
}

await scenario("sessions", `${base}/mcp`);
await scenario("redirect", `${base}/mcp/`);
await scenario("nobody", `http://127.0.0.1:${nobody}/mcp`);
await scenario("path", `${base}/other`);
await scenario("body", `${base}/mcp`, { call: "block" });
await ended(3000);
await scenario("headers", `${base}/mcp`, { call: "block", handshake: false });
await ended(3000);

console.log("=== deadline");
setGlobalDispatcher(new Agent());
const client = await createMCPClient({ transport: { type: "http", url: `${base}/mcp` } });
await client.callTool({ name: "block", arguments: {}, options: { timeout: 300 } }).catch((error) => console.log(error));
await client.close().catch((error) => console.log(error));
await ended(3500);

console.log("=== dead");
// The id that the refusal of a GET carries, adopted as a fast client does.
const refused = await fetch(`${base}/mcp`, { headers: { accept: "text/event-stream" } });
await createMCPClient({
  transport: { type: "http", url: `${base}/mcp`, headers: { "mcp-session-id": refused.headers.get("mcp-session-id") } },
  protocolVersionDiscovery: false,
  onUncaughtError: () => {},
}).then((lost) => lost.tools()).catch((error) => console.log(error));
process.exit(0);
