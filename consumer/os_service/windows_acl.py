"""Close files to all but the system, administrators and the service, whatever they inherit."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path
from typing import Literal

import pywintypes
import win32security

from consumer.core.errors import SetupError
from consumer.os_service.layout import NAME

Rights = Literal["read", "modify"]

# Access masks of files (winnt.h): FILE_GENERIC_READ | FILE_GENERIC_EXECUTE, and with it writing,
# appending and deleting.
_MASKS: dict[Rights, str] = {"read": "0x1200a9", "modify": "0x1301bf"}
_TRUSTED = ("S-1-5-18", "S-1-5-32-544")


def service_sid(name: str) -> str:
    """The identity Windows makes of the name of a service (`NT SERVICE\\NAME`), before there is
    one: five numbers from the SHA-1 of the name in capitals."""
    digest = hashlib.sha1(name.upper().encode("utf-16-le"), usedforsecurity=False).digest()
    return "-".join(["S-1-5-80", *map(str, struct.unpack("<5I", digest))])


def descriptor(rights: Rights, *, folder: bool) -> str:
    """In SDDL: owned by administrators, nothing inherited (P), handed on by folders (OICI)."""
    handed_on = "OICI" if folder else ""
    entries = (
        ("FA", "SY"),
        ("FA", "BA"),
        (_MASKS[rights], service_sid(NAME)),
    )
    return "O:BAD:PAI" + "".join(f"(A;{handed_on};{mask};;;{sid})" for mask, sid in entries)


def make_folder(path: Path, rights: Rights) -> None:
    """Create a closed folder, or close one that is there.

    Raises SetupError for a folder of somebody who is no administrator: everybody may create one
    in %ProgramData% before us, and its owner could open it again.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        owner = _owner(path)
    except OSError as error:
        raise SetupError(f"cannot create {path}: {error.strerror or error}") from error
    except pywintypes.error as error:
        raise _refused(path, error) from error
    if owner not in _TRUSTED and any(path.iterdir()):
        raise SetupError(
            f"{path} was made by another account ({owner}): rename or delete it, then install again"
        )
    close(path, rights)


def close(path: Path, rights: Rights) -> None:
    """Set owner and access list in one step. Raises SetupError."""
    text = descriptor(rights, folder=path.is_dir())
    try:
        wanted = win32security.ConvertStringSecurityDescriptorToSecurityDescriptor(
            text, win32security.SDDL_REVISION_1
        )
        win32security.SetNamedSecurityInfo(
            str(path),
            win32security.SE_FILE_OBJECT,
            win32security.OWNER_SECURITY_INFORMATION
            | win32security.DACL_SECURITY_INFORMATION
            | win32security.PROTECTED_DACL_SECURITY_INFORMATION,
            wanted.GetSecurityDescriptorOwner(),
            None,
            wanted.GetSecurityDescriptorDacl(),
            None,
        )
    except pywintypes.error as error:
        raise _refused(path, error) from error


def _owner(path: Path) -> str:
    found = win32security.GetNamedSecurityInfo(
        str(path), win32security.SE_FILE_OBJECT, win32security.OWNER_SECURITY_INFORMATION
    )
    return str(win32security.ConvertSidToStringSid(found.GetSecurityDescriptorOwner()))


def _refused(path: Path, error: pywintypes.error) -> SetupError:
    return SetupError(
        f"cannot close {path} to other accounts: {error.strerror}; run as an administrator"
    )
