"""Reduce a compiled schema to what it fills beyond a version that a document already has."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
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
    newer = [field.fill_from > number for field in schema.version.fields]
    return replace(schema, root=_reduced(schema.root, newer.__getitem__))


def up_to(schema: CompiledSchema, number: int) -> CompiledSchema:
    """The schema that fills only paths which were there in version `number`."""
    if schema.version is None:
        return schema
    older = [field.fill_from <= number for field in schema.version.fields]
    return replace(schema, root=_reduced(schema.root, older.__getitem__))


def leaving_out(schema: CompiledSchema, positions: Container[int]) -> CompiledSchema:
    """The schema that leaves out, on purpose, what it fills at these positions."""
    return replace(schema, root=_reduced(schema.root, lambda _: True, positions))


def filled_positions(node: ObjectNode) -> Iterator[int]:
    """The positions of what the node fills, at and below it."""
    if node.any_key is None:
        yield from (filling.position for filling in node.fillings)
        for below in node.objects.values():
            yield from filled_positions(below)


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


def _reduced(
    node: ObjectNode, stays: Callable[[int], bool], without: Container[int] = ()
) -> ObjectNode:
    if node.any_key is not None:
        # Nothing is ever filled in a map.
        return node
    objects = {key: _reduced(child, stays, without) for key, child in node.objects.items()}
    beyond = {key: position for key, position in node.beyond.items() if stays(position)}
    left: list[Filling] = []
    for filling in node.fillings:
        if filling.position in without:
            beyond[filling.key] = filling.position
        elif stays(filling.position):
            left.append(replace(filling, node=objects.get(filling.key)))
    return replace(
        node,
        objects=objects,
        expected=len(node.keys) if left or beyond else 0,
        fillings=left,
        beyond=beyond,
    )
