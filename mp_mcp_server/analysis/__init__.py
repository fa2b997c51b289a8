"""Findings, computed: plain numbers in, a finding out. Nothing here asks anybody, knows a tool or words anything."""
