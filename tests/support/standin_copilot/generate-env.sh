#!/bin/sh
# Writes what the servers are started with. MIXPANEL_DATA_MCP_URL= in a comment is no edit.
cat > .env <<END
MIXPANEL_DATA_MCP_URL=${MIXPANEL_DATA_MCP_URL:-http://127.0.0.1:8200/mcp}
END
