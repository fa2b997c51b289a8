"""Findings: what a tool asks Mixpanel for, what `analysis` makes of it, and both as JSON-ready values."""
