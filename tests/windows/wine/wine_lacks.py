"""Stand in for what Wine 8 lacks, in the Windows Python under it: imported by a `.pth` file."""

from __future__ import annotations

from typing import Any

import win32security
import win32service

# Delayed start, whether failure actions follow a stop with an error, and the type of service SID.
_UNKNOWN_LEVELS = (3, 4, 5)
_INVALID_LEVEL = 124
# Files of Wine belong to nobody but the user it makes up: on Windows, Administrators.
_WINE_USER, _ADMINISTRATORS = "S-1-5-21-0-0-0-1000", "S-1-5-32-544"

_change = win32service.ChangeServiceConfig2
_text = win32security.ConvertSidToStringSid


def _change_what_is_known(handle: Any, level: int, value: Any) -> None:
    try:
        _change(handle, level, value)
    except win32service.error as error:
        if not (error.winerror == _INVALID_LEVEL and level in _UNKNOWN_LEVELS):
            raise


def _text_of_an_owner(sid: Any) -> str:
    return _text(sid).replace(_WINE_USER, _ADMINISTRATORS)


win32service.ChangeServiceConfig2 = _change_what_is_known
win32security.ConvertSidToStringSid = _text_of_an_owner
