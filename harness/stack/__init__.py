"""The stack's services: what they are, what to do next, and the processes that they are."""
