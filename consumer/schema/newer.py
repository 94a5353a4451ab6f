"""Reduce a compiled schema to what it fills beyond a version that a document already has."""

from __future__ import annotations

from dataclasses import replace

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
    return replace(schema, root=_newer(schema.root, fill_from, number))


def fillings(node: ObjectNode) -> int:
    """How many defaults the node can fill, at and below it."""
    if node.any_key is not None:
        return 0
    return len(node.fillings) + sum(map(fillings, node.objects.values()))


def holds_back(node: ObjectNode) -> bool:
    """Whether a document may lack something on purpose, at or below the node."""
    if node.any_key is not None:
        return False
    return bool(node.beyond) or any(map(holds_back, node.objects.values()))


def _newer(node: ObjectNode, fill_from: list[int], number: int) -> ObjectNode:
    if node.any_key is not None:
        # Nothing is ever filled in a map.
        return node
    objects = {key: _newer(child, fill_from, number) for key, child in node.objects.items()}
    beyond = {key: n for key, n in node.beyond.items() if fill_from[n] > number}
    left = [
        Filling(filling.key, filling.position, filling.value, objects.get(filling.key))
        for filling in node.fillings
        if fill_from[filling.position] > number
    ]
    return ObjectNode(
        keys=node.keys,
        objects=objects,
        arrays=node.arrays,
        expected=len(node.keys) if left or beyond else 0,
        fillings=left,
        beyond=beyond,
        entries=node.entries,
        opaque=node.opaque,
    )
