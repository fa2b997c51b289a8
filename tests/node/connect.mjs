// Connect a client again and again: list the tools, call one, close.
//
//   node connect.mjs CLIENT URL CONNECTS PARALLEL TOOL
//
// Prints one JSON value: how many went well, why others did not, the counts of tools that were seen, and every HTTP
// answer that the client got, as "GET 405": 12.

const [name, url, connects, parallel, tool] = process.argv.slice(2);
// Who is lost is lost at once; all others may take as long as a busy machine makes them.
const LONGEST_MS = 200_000;

const answers = {};
const real = globalThis.fetch;
globalThis.fetch = async (input, init) => {
  const answer = await real(input, init);
  const key = `${(init?.method ?? input.method ?? "GET").toUpperCase()} ${answer.status}`;
  answers[key] = (answers[key] ?? 0) + 1;
  return answer;
};

const uncaught = [];
const onUncaughtError = (error) => uncaught.push(String(error?.message ?? error));

const aiSdk = (version, options = {}) => async () => {
  const library = await import(`ai-sdk-mcp-${version}`);
  const create = library.createMCPClient ?? library.experimental_createMCPClient;
  const client = await create({ transport: { type: "http", url }, onUncaughtError, ...options });
  return {
    tools: async () => Object.keys(await client.tools()),
    call: async () => {
      const tools = await client.tools();
      return tools[tool].execute({}, { messages: [], toolCallId: "1" });
    },
    close: () => client.close(),
  };
};

const official = async () => {
  const { Client } = await import("@modelcontextprotocol/sdk/client/index.js");
  const { StreamableHTTPClientTransport } = await import("@modelcontextprotocol/sdk/client/streamableHttp.js");
  const client = new Client({ name: "test", version: "1" });
  await client.connect(new StreamableHTTPClientTransport(new URL(url)));
  return {
    tools: async () => (await client.listTools()).tools.map((each) => each.name),
    call: () => client.callTool({ name: tool, arguments: {} }),
    close: () => client.close(),
  };
};

const CLIENTS = {
  "ai-sdk-0": aiSdk(0),
  "ai-sdk-1": aiSdk(1),
  "ai-sdk-2": aiSdk(2),
  "ai-sdk-2-handshake": aiSdk(2, { protocolVersionDiscovery: false }),
  "typescript-sdk": official,
};

const counts = new Set();
const failures = {};
let good = 0;

async function once() {
  const client = await CLIENTS[name]();
  try {
    counts.add((await client.tools()).length);
    const result = await client.call();
    if (result.isError) throw new Error(`the call failed: ${JSON.stringify(result).slice(0, 200)}`);
  } finally {
    await client.close();
  }
}

async function worker(next) {
  while (next.left-- > 0) {
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`nothing within ${LONGEST_MS} ms`)), LONGEST_MS);
    });
    try {
      await Promise.race([once(), late]);
      good += 1;
    } catch (error) {
      const why = String(error?.message ?? error).slice(0, 200);
      failures[why] = (failures[why] ?? 0) + 1;
    } finally {
      clearTimeout(timer);
    }
  }
}

const next = { left: Number(connects) };
await Promise.all(Array.from({ length: Number(parallel) }, () => worker(next)));
console.log(JSON.stringify({ good, failures, counts: [...counts], answers, uncaught: uncaught.slice(0, 20) }));
process.exit(0);
