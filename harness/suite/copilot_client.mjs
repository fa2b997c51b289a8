// The copilot's own client, driven line by line: reads {"tool", "arguments", "replies"}, writes {"result", "asked"}.
//   node copilot_client.mjs AGENT_DIRECTORY MCP_URL
// Whatever wants to leave this machine is stopped and counted: {"attempts": true} is answered with where to.
import dns from "node:dns";
import net from "node:net";
import dgram from "node:dgram";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const attempts = [];
const local = (host) =>
  host === undefined || host === null || host === "" || host === "localhost" || host === "::1" || host === "::" ||
  host === "0.0.0.0" || /^127\.\d+\.\d+\.\d+$/.test(host) || /^::ffff:127\./i.test(host);

function stopped(where) {
  attempts.push(where);
  return Object.assign(new Error(`a replay asks nobody outside of this machine, and this was about to ask ${where}`), { code: "ELEFT" });
}

const connect = net.Socket.prototype.connect;
net.Socket.prototype.connect = function (...given) {
  const [first] = Array.isArray(given[0]) ? given[0] : given;
  const to = typeof first === "object" && first !== null ? first : { port: first, host: typeof given[1] === "string" ? given[1] : undefined };
  if (to.path === undefined && !local(to.host)) {
    const error = stopped(`${to.host}:${to.port}`);
    process.nextTick(() => this.destroy(error));
    return this;
  }
  return connect.apply(this, given);
};
for (const [home, names] of [[dns, ["lookup", "resolve", "resolve4", "resolve6"]], [dns.promises, ["lookup", "resolve", "resolve4", "resolve6"]]]) {
  for (const name of names) {
    const real = home[name];
    home[name] = function (host, ...rest) {
      if (local(host)) return real.call(this, host, ...rest);
      const error = stopped(host);
      if (home === dns.promises) return Promise.reject(error);
      const answer = rest.at(-1);
      return process.nextTick(() => answer(error));
    };
  }
}
const send = dgram.Socket.prototype.send;
dgram.Socket.prototype.send = function (...given) {
  const host = given.find((each) => typeof each === "string" && given.indexOf(each) > 0);
  if (!local(host)) throw stopped(host);
  return send.apply(this, given);
};

const [agent, url] = process.argv.slice(2);
const { KeptServer } = await import(pathToFileURL(`${agent}/mcp-client.ts`));
const server = new KeptServer("mixpanel_data", url, 120_000, (line) => process.stderr.write(`${line}\n`));

async function call({ tool, arguments: input, replies }) {
  const { definitions } = await server.connected();
  // A tool that is not listed is called all the same: what is said of that is the server's to say.
  const definition = definitions.find(({ name }) => name === tool) ?? { name: tool };
  const asked = [];
  const ask = async ({ message, schema }) => {
    const reply = replies[asked.length] ?? { action: "cancel" };
    asked.push({ method: "elicitation/create", params: { message, requestedSchema: schema }, reply });
    return reply;
  };
  return { result: await server.call(definition, input, ask, undefined), asked };
}

for await (const line of createInterface({ input: process.stdin })) {
  const said = JSON.parse(line);
  const answer = said.attempts ? { attempts } : await call(said).catch((error) => ({ error: String(error?.message ?? error) }));
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await server.drop();
