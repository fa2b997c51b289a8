"""CASES: 39 tools and everything that can happen to them, run against recordings or an emulator, with reports."""
