"""`mp`, the command line."""
