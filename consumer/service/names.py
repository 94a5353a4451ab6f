"""What the service is called, wherever a service manager shows it."""

NAME = "cxone-consumer"
TITLE = "NICE CXone webhook consumer"
DESCRIPTION = "Keeps every NICE CXone Data Action webhook in MongoDB and watches its schema evolve."

# An account that Windows makes for the service alone: no password, no rights of persons.
WINDOWS_ACCOUNT = f"NT SERVICE\\{NAME}"
