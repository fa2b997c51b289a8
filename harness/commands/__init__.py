"""The commands of `harness`, a module a family: parse, one call, show."""
