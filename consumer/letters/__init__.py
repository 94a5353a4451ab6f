"""What people need to know of a dead letter to decide on it, and how they put its body right: the
same for the command line and the console."""
