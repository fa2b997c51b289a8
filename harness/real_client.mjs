// Asks an MCP server as the copilot does, with the client library that is installed for it; prints one JSON list.
//   node real_client.mjs NODE_MODULES URL
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [packages, url] = process.argv.slice(2);
const home = `${packages}/@ai-sdk/mcp`;
const about = JSON.parse(readFileSync(`${home}/package.json`, "utf8"));
const root = about.exports?.["."] ?? {};
const entry = root.import?.default ?? root.import ?? root.default ?? about.module ?? about.main;
const library = await import(pathToFileURL(`${home}/${entry}`));
const connect = library.createMCPClient ?? library.experimental_createMCPClient;

// After some failures the library's own promise never settles.
function within(seconds, work) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing came of it in ${seconds} s`)), seconds * 1000);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

async function ask(mode, options) {
  const began = performance.now();
  const found = { mode, library: `@ai-sdk/mcp ${about.version}`, tools: null, called: false, said: [] };
  const note = (error) => found.said.push(String(error?.cause?.message ?? error?.message ?? error));
  try {
    const client = await within(20, connect({ transport: { type: "http", url }, onUncaughtError: note, ...options }));
    const tools = await within(20, client.tools());
    found.tools = Object.keys(tools).length;
    const answer = await within(20, tools.list_events.execute({}, { messages: [], toolCallId: "1" }));
    found.called = answer?.isError !== true;
    await within(5, client.close());
  } catch (error) {
    note(error);
  }
  return { ...found, ms: Math.round((performance.now() - began) * 10) / 10 };
}

const asked = [await ask("its defaults", {}), await ask("handshake", { protocolVersionDiscovery: false })];
process.stdout.write(`${JSON.stringify(asked)}\n`, () => process.exit(0));
