// A stand-in for the real checkout's client: as much of MCP as it takes to list tools.

export type Tool = { name: string };

export async function getMixpanelDataMCPTools(): Promise<Tool[]> {
  const url = process.env.MIXPANEL_DATA_MCP_URL ?? 'http://127.0.0.1:8200/mcp';
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' }),
  });
  const text = await answer.text();
  const data = text.split('\n').find((line) => line.startsWith('data: '))?.slice('data: '.length) ?? text;
  const tools: Tool[] = JSON.parse(data).result.tools;
  console.log(`[MCP mixpanel_data] Got ${tools.length} tools: ${tools.map((tool) => tool.name).join(', ')}`);
  return tools;
}
