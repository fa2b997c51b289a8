"""nginx: the private front door of a stack, and somebody else's site file, changed as a transaction and put back."""
