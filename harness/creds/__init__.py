"""The runbook's four credentials: there, well formed, real, and of which region and project."""
