"""What the service is called, wherever a service manager shows it."""

NAME = "cxone-consumer"
TITLE = "NICE CXone webhook consumer"
DESCRIPTION = "Keeps every NICE CXone Data Action webhook in MongoDB and watches its schema evolve."
