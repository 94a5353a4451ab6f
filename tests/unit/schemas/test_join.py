"""The laws of join, with `*` and with number over integer."""

from __future__ import annotations

from hypothesis import given

from consumer.schemas.json_types import INTEGER, NUMBER, OBJECT, STRING
from consumer.schemas.shape import EMPTY, Shape, join, map_path, through_maps, walk
from tests.support.strategies import shapes


@given(shapes, shapes)
def test_join_is_commutative(one: Shape, other: Shape) -> None:
    assert join(one, other) == join(other, one)


@given(shapes, shapes, shapes)
def test_join_is_associative(one: Shape, other: Shape, third: Shape) -> None:
    assert join(join(one, other), third) == join(one, join(other, third))


@given(shapes)
def test_join_is_idempotent_and_empty_is_neutral(shape: Shape) -> None:
    assert join(shape, shape) == shape
    assert join(shape, EMPTY) == shape


@given(shapes, shapes)
def test_join_absorbs_what_it_holds(one: Shape, other: Shape) -> None:
    joined = join(one, other)

    assert join(joined, one) == joined
    assert join(other, joined) == joined


@given(shapes, shapes)
def test_every_path_and_type_of_both_is_in_the_join(one: Shape, other: Shape) -> None:
    joined = join(one, other)
    found = {path: node.types for path, node in walk(joined)}

    for path, node in [*walk(one), *walk(other)]:
        types = found[map_path(path, joined)]
        allowed = types | INTEGER if types & NUMBER else types
        assert node.types & ~allowed == 0


@given(shapes, shapes)
def test_a_shape_seen_through_the_maps_of_another_joins_to_the_same(
    one: Shape, other: Shape
) -> None:
    assert join(through_maps(one, other), other) == join(one, other)


def test_a_map_absorbs_the_keys_beside_it() -> None:
    record = Shape(OBJECT, {"a": Shape(INTEGER), "b": Shape(STRING), "[]": Shape(STRING)})
    mapping = Shape(OBJECT, {"*": Shape(NUMBER)})

    assert join(record, mapping).children == {"*": Shape(NUMBER | STRING), "[]": Shape(STRING)}


def test_absorbing_one_map_may_make_the_maps_below_it_absorb() -> None:
    one = Shape(OBJECT, {"x": Shape(OBJECT, {"*": Shape(INTEGER)})})
    other = Shape(OBJECT, {"*": Shape(OBJECT, {"k": Shape(INTEGER)})})

    assert join(one, other).children == {"*": Shape(OBJECT, {"*": Shape(INTEGER)})}
