"""`python -m consumer` is the command `cxone-consumer`."""

from consumer.cli.main import main

main()
