"""The local store: DuckDB lives here and nowhere else in the library."""
