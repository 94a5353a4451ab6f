"""What the program is told from outside: settings, logging, shipped assets."""
