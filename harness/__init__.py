"""The runbook, executable: bring the stack up, ask it, watch it, take it down."""
