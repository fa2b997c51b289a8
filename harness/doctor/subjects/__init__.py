"""What the doctor looks at, a module a subject; each ends in its rows of CHECKS."""
