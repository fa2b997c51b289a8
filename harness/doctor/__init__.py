"""Checks as values, what they find, which of it is the root, and what mends it."""
