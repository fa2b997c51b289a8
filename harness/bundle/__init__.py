"""One file for a colleague: what this machine runs, how it is set up, what the doctor says, what the services wrote."""
