"""Run the commands of `cxone-consumer`.

Public:
- main: the table of commands
"""
