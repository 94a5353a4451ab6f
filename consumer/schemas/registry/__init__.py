"""The registered schema versions, shared by all processes through MongoDB.

Public:
- registry: SchemaRegistry: admit payloads, register versions
- versions: the collection `schema_versions`
- document_stamps: versions that the documents of a subject know
"""
