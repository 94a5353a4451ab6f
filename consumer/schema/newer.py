"""Reduce a compiled schema to what it fills beyond a version that a document already has."""

from __future__ import annotations

from consumer.schema.compiled import CompiledSchema
from consumer.schema.trie import Filling, ObjectNode


def newer_than(schema: CompiledSchema, number: int) -> CompiledSchema:
    """The schema that fills only paths which came after version `number`.

    On a document filled up to `number` it fills what the whole schema would. On one that lacks
    more, such as a field a person removed, it leaves alone what it could not tell from what was
    sent: `_meta.filled` knows of the filling at ingest only.
    """
    if schema.version is None:
        return schema
    fill_from = [field.fill_from for field in schema.version.fields]
    return CompiledSchema(schema.version, _newer(schema.root, fill_from, number))


def fillings(node: ObjectNode) -> int:
    """How many defaults the node can fill, at and below it."""
    if node.any_key is not None:
        return 0
    return len(node.fillings) + sum(map(fillings, node.objects.values()))


def _newer(node: ObjectNode, fill_from: list[int], number: int) -> ObjectNode:
    if node.any_key is not None:
        # Nothing is ever filled in a map.
        return node
    objects = {key: _newer(child, fill_from, number) for key, child in node.objects.items()}
    left = [
        Filling(filling.key, filling.position, filling.value, objects.get(filling.key))
        for filling in node.fillings
        if fill_from[filling.position] > number
    ]
    return ObjectNode(
        keys=node.keys,
        objects=objects,
        arrays=node.arrays,
        expected=len(node.keys) if left else 0,
        fillings=left,
        opaque=node.opaque,
    )
