"""Tell an object used as a map, whose keys are data, from a record, whose keys are names."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Set
from dataclasses import dataclass
from itertools import pairwise

from consumer.core.paths import ANY_KEY, Path
from consumer.schemas.json_types import OBJECT, join_masks
from consumer.schemas.policy import Pins

# A child as far as this decision needs it: its mask of types and the segments below it.
Profile = tuple[int, Set[str]]

# Of a longer key only so many characters are looked at: a key may be a megabyte.
_LOOKED_AT = 1024


@dataclass(frozen=True, slots=True)
class KeyPattern:
    """Keys that are data when the whole key matches, case aside; `enough` of them make a map.

    `examples` match this row and none above it; `names` are names of fields that no row may match.
    """

    name: str
    pattern: str
    enough: int
    examples: tuple[str, ...]
    names: tuple[str, ...] = ()


# Strong rows come first, and the first row that matches counts. Conservative where words may stand
# as keys: a record that is taken for a map loses the names of its fields, while a map that is
# missed is found when its keys have become many.
KEY_PATTERNS = (
    KeyPattern(
        "e-mail",
        r"(?:[^@<>]*<)?[^\s@<>]+@"
        r"(?:[^\s@<>/]+\.[^\W\d_][^\s@<>/.]+|\[?(?:[0-9]{1,3}\.){3}[0-9]{1,3}\]?)"
        r"(?::[0-9]{1,5})?(?:/[^\s@<>]*)?>?"
        r"|@[^\s@:]+:[^\s@:]+\.[^\W\d_][^\s@:.]+",
        1,
        (
            "user5@example.com",
            "Jane Doe <jane+x@mail.example.co.uk>",
            "1001@10.0.0.7",
            "@ann:example.org",
        ),
        ("@type", "@vue:app", "@context", "recall@0.5", "lodash@4.17.21", "a@1.2.0/x.js", "user@"),
    ),
    KeyPattern(
        "phone",
        r"(?:tel:|sms:)?\+(?=(?:[^0-9]*[0-9]){7,16}[^0-9]*\Z)[0-9(][0-9 ()./-]{5,24}"
        r"|(?:1[ .-])?(?:\([0-9]{3}\) ?|[0-9]{3}[ .-])[0-9]{3}[ .-][0-9]{4}"
        r"|(?=(?:[^0-9]*[0-9]){9,15}[^0-9]*\Z)\(?0[0-9]{1,5}\)?[ /-][0-9 /-]{4,16}",
        1,
        ("+15551234567", "+49 (89) 1234-567", "(555) 123-4567", "089 1234567", "tel:+15551234567"),
        ("+02:00", "line1", "1-800"),
    ),
    KeyPattern(
        "URL",
        r"[a-z][a-z0-9+.-]{1,30}://\S+|(?:urn|mailto|tel|sips?|arn|did):\S+|www\.\S+",
        1,
        ("https://example.com/claims/role", "sip:1001@pbx", "urn:isbn:0451450523"),
        ("dc:title", "og:image", "http", "url"),
    ),
    KeyPattern(
        "IP or MAC address",
        r"(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?:[:/][0-9]{1,5})?"
        r"|\[?(?:(?=[0-9a-f:]*::)[0-9a-f:]{2,39}(?:(?<=:)(?:[0-9]{1,3}\.){3}[0-9]{1,3})?"
        r"|(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4})(?:%\w{1,16})?(?:/[0-9]{1,3})?(?:\](?::[0-9]{1,5})?)?"
        r"|[0-9a-f]{2}(?:[:-][0-9a-f]{2}){5,7}",
        1,
        ("192.168.0.1", "10.1.2.3:8080", "2001:db8::1", "[fe80::1%eth0]:443", "00:1a:2b:3c:4d:5e"),
        ("1.2.3", "a:b"),
    ),
    KeyPattern(
        "UUID",
        r"(?:[a-z][a-z0-9]{0,31}[-_:./#|])?\{?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\}?",
        1,
        ("6F1B9A2E-0d0c-4f57-9a0c-0242ac120002", "agent:6f1b9a2e-0d0c-4f57-9a0c-0242ac120002"),
    ),
    KeyPattern(
        "hex of 24 or more",
        r"(?:0x|[a-z][a-z0-9]{0,31}[-_:./#|])?(?=[a-f]*[0-9])(?=[0-9]*[a-f])[0-9a-f]{24,}",
        1,
        ("507f1f77bcf86cd799439011", "auth0|507f1f77bcf86cd799439011"),
        ("deadbeefdeadbeefdeadbeef",),
    ),
    # The first character is 0 until the year 3084; asking for it spares words.
    KeyPattern(
        "ULID",
        r"(?:[a-z][a-z0-9]{0,31}[-_:./#|])?0[0-9a-hjkmnp-tv-z]{25}",
        1,
        ("01ARZ3NDEKTSV4RRFFQ69G5FAV", "evt_01arz3ndektsv4rrffq69g5fav"),
        ("ABCDEFGHJKMNPQRSTVWXYZABCD",),
    ),
    KeyPattern(
        "number of 9 or more digits", r"[+-]?[0-9]{9,}", 1, ("312345678901", "-100123456789")
    ),
    KeyPattern("shorter number", r"[+-]?[0-9]{1,8}", 2, ("4711", "7", "20260101")),
    KeyPattern(
        "date or time",
        r"[0-9]{4}[-/.][0-9]{2}(?:[-/.][0-9]{2}(?:[T ][0-9:.]+(?:Z|[+-][0-9:]{2,6})?)?)?"
        r"|[0-9]{4}-?(?:W[0-9]{1,2}|Q[1-4])|[0-9]{1,2}[-/.][0-9]{1,2}[-/.][0-9]{4}"
        r"|[0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?(?: ?- ?[0-9]{1,2}:[0-9]{2})?",
        2,
        ("2026-01-01", "2026-01-01T12:00:00Z", "2026-01", "31.12.2026", "2026-W05", "09:30-10:00"),
        ("24h", "2d", "1w"),
    ),
    KeyPattern(
        "prefix, separator and 4 or more digits",
        # Names of standards are names.
        r"(?!(?:iso|iec|ieee|rfc|utf|ucs|sha|aes|rsa|cp|ansi|windows|ecma|crc|din)[-_ ])"
        r"[^\W\d_][\w .:/#|-]{0,62}?[-_ .:/#|][0-9]{4,}(?:[-_ .:/#|][0-9]+)*"
        r"|[a-z]{1,4}[0-9]{6,}",
        2,
        ("agent-1001", "customfield_10010", "ORD-2026-000123", "skill#4711", "INC0010001"),
        ("q1", "address2", "error_404", "iso-8601", "sha256", "RSA-2048", "utf-8", "iso8601"),
    ),
    KeyPattern(
        "base64 with padding",
        r"(?=.{8})(?:[a-z0-9+/_-]{4})*(?:[a-z0-9+/_-]{2}==|[a-z0-9+/_-]{3}=)",
        2,
        ("dGVzdA==", "YWdlbnQgMTAwMSBvZiA="),
        ("a=", "==", "x=="),
    ),
)

_ROWS = re.compile("|".join(f"(?P<r{n}>{row.pattern})" for n, row in enumerate(KEY_PATTERNS)), re.I)
_MIXED = "mixed"
_URL = next(f"r{n}" for n, row in enumerate(KEY_PATTERNS) if row.name == "URL")
_ENOUGH = {f"r{n}": row.enough for n, row in enumerate(KEY_PATTERNS)} | {_MIXED: 2}
# Beside names a bare number of so many digits is taken for a phone number as well.
_PERSONAL = re.compile(
    "|".join(f"(?:{row.pattern})" for row in KEY_PATTERNS[:2]) + "|[0-9]{10,15}", re.I
)

# The last row, which no expression can tell: base64 without padding, base62, base36. Such keys have
# a digit before a letter, and letters that seldom follow one another in words.
_MIXED_KEY = re.compile(r"(?=[a-z_-]*[0-9][0-9_-]*[a-z])[a-z0-9_-]{10,}", re.I)
# Keys like those that happen to have no such digit count beside them when they are as long.
_ALIKE_KEY = re.compile(r"(?=[a-z_-]*[A-Z0-9])(?=[A-Z_-]*[a-z0-9])[A-Za-z0-9_-]{10,}")
# Two letters each; no other two stand side by side in this text.
_WORD_PAIRS = (
    "ab ac ad ag ai al am an ap ar as at au bl ca ce ch ci ck cl co cr ct cu da de di ea ec ed"
    " ee ef eg el em en ep er es et ev ex fa fi fl fo ge gr ha he hi ho ia ic id ie if ig il im"
    " in io ip ir is it iv ke la le li ll lo ls lu ma me mi mo mp na nc nd ne ng ni no ns nt oc"
    " od ol om on op or os ot ou ow pa pe pi pl po pp pr pt qu ra rc rd re ri rm ro rr rs rt ry"
    " sc se sh si so sp ss st su ta te th ti to tr ts tt ty ub ue ul um un up ur us ut va ve vi"
)


def is_data_key(key: str) -> bool:
    """True for a key that looks like data: it matches a row, strong or weak."""
    return _enough_of(_row(key[:_LOOKED_AT])) > 0


def is_personal(key: str) -> bool:
    """True for a key that is an e-mail address or a phone number."""
    return _PERSONAL.fullmatch(key[:_LOOKED_AT]) is not None


def names_one(key: str) -> bool:
    """True for a key that says by itself whom or what it stands for: it matches a strong row.
    Addresses of pages are left out, for claims and vocabularies are named by them."""
    return _enough_of(row := _row(key[:_LOOKED_AT])) == 1 and row != _URL


def is_map(
    path: Path,
    known: Collection[str],
    sent: Collection[str],
    profiles: Callable[[], Collection[Profile]],
    *,
    pins: Pins,
    many: int,
) -> bool:
    """Tell a map from a record, by the path of an object and its keys (as segments), the known ones
    and those sent just now; `profiles` of them all are made only when they are needed, for keys may
    come by the ten thousand.

    The root never is, for it holds the envelope; a pin decides before all rules. Otherwise all keys
    are data, or a new one makes more than `many` homogeneous children, of which less than half are
    sent, or more than five times as many: a record is sent whole, and few have so many fields.
    """
    if not path or path in pins.objects:
        return False
    keys = {*known, *sent}
    if path in pins.maps or are_ids(keys):
        return True
    some = len(keys) > many and 2 * len(sent) < len(keys)
    is_wide = len(keys) > len(known) and (some or len(sent) > 5 * many)
    return is_wide and are_homogeneous(profiles())


def is_due(path: Path, keys: Collection[str], pins: Pins) -> bool:
    """True where the object at `path` that is known by these keys should be a map: an earlier
    program took them for names."""
    return bool(path) and path not in pins.objects and are_ids(keys)


def are_ids(keys: Collection[str]) -> bool:
    """True where every key is data, and they are enough: one of a strong row, two of weak."""
    weight = 0.0
    lengths: set[int] = set()
    alike: list[int] = []
    for key in keys:
        row = _row(key[:_LOOKED_AT])
        enough = _enough_of(row)
        if row == _MIXED:
            lengths.add(len(key))
        if not enough:
            alike.append(len(key))
            if 2 * len(alike) > len(keys) or not _is_alike(key[:_LOOKED_AT]):
                return False
        weight += 1 / (enough or 2)
    return weight >= 1 and lengths.issuperset(alike)


def _row(key: str) -> str | None:
    """The name of the row that a key matches."""
    match = _ROWS.fullmatch(key)
    if match is not None:
        return match.lastgroup
    return _MIXED if _MIXED_KEY.fullmatch(key) and _is_mixed(key) else None


def _enough_of(row: str | None) -> int:
    """Number of keys of a row that make a map; 0 where there is none."""
    return _ENOUGH[row] if row else 0


def _is_mixed(key: str) -> bool:
    # Parts of words between separators make short pairs: ids with separators have capitals too.
    has_both_cases = key != key.lower() and key != key.upper()
    return (has_both_cases or key.isalnum()) and _wordly(key) < 0.4


def _is_alike(key: str) -> bool:
    return _ALIKE_KEY.fullmatch(key) is not None and _wordly(key) < 0.6


def _wordly(key: str) -> float:
    """The share of neighbours in a key that are letters which often stand so in words."""
    lower = key.lower()
    pairs = [
        one + other
        for one, other in pairwise(lower)
        if one.isalnum() and other.isalnum() and not (one.isdigit() and other.isdigit())
    ]
    return sum(pair in _WORD_PAIRS for pair in pairs) / len(pairs) if pairs else 1.0


def are_homogeneous(children: Collection[Profile]) -> bool:
    """True where the children all have one and the same type (null aside, integers being numbers
    too), and as objects share their fields: on average each has at least half of all that any has.
    """
    types = 0
    for mask, _ in children:
        types = join_masks(types, mask)
    if types.bit_count() != 1:
        return False
    if types != OBJECT:
        return True
    names = set[str]().union(*(below for _, below in children))
    if ANY_KEY in names:
        # Children that are maps themselves share no names, and need not.
        return True
    return 2 * sum(len(below) for _, below in children) >= len(children) * len(names)
