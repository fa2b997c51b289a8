"""The rows of CHECKS, a module a part of the stack: what each check proves, and what to know when it does not hold."""
