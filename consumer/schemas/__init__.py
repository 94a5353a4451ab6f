"""Payloads as schemas: their shape, its evolution, and what is filled; pure, but for `registry/`.

Public:
- json_types: JSON types as bits of a mask
- model: SchemaVersion, Field and Change
- maps: objects used as maps, and keys that are data
- policy: contracts, pins, defaults and guards of a user
- evolution: changes between versions, and the next version
- objections: what speaks against a change
- draft: a version drafted from payloads, not registered
- manual_changes: versions that people make: retire, unmap, erase a name, alias
- compile: a version as the trie of one walk
- check: a payload against a version
- aliases: fields filled from other ones
- defaults: fill a payload, and take the filling out
- fillable: the default of each field, and the bound on filling
- origin: what was sent and what was filled in, as a rule and as expressions of MongoDB
- provenance: sent and filled fields of a stored document
- expressions: parts of MongoDB's expressions
- alias_expressions: aliases as expressions of MongoDB
- shape: the tree of paths and types
- export: JSON Schema and MongoDB validator
- planned: a JSON Schema that somebody plans, as a shape
- registry: versions shared through MongoDB
"""
