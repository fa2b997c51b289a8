import { createServer } from 'node:http';
import { getMixpanelDataMCPTools } from '../agent/mcp-client.ts';

export async function app() {
  const tools = await getMixpanelDataMCPTools();
  return createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/html' }).end(`<p>${tools.length} tools</p>`);
  });
}
