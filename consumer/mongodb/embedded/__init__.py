"""A real mongod as a supervised child, for trying out and for single machines.

Public:
- supervisor: EmbeddedMongo: start, restart and stop it
- binary: find a mongod that this machine can run
- port: the running one of a data directory
"""
