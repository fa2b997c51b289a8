"""The tools: plain functions that take a Workspace first, then what the model may set."""
