"""Keep the secret that opens the embedded MongoDB in a file that only its owner can read."""

from __future__ import annotations

import base64
import hmac
import os
import secrets
import subprocess
import sys
from pathlib import Path

import structlog

from config.environment import system_folder
from consumer.core.errors import SetupError

log = structlog.get_logger(__name__)

# In the data directory: what mongod takes as its `--keyFile`.
FILE = "mongodb.key"
# Full rights for the owner (OWNER RIGHTS), the system and administrators, by their numbers, for
# the names are translated.
_WINDOWS_RIGHTS = ("*S-1-3-4:F", "*S-1-5-18:F", "*S-1-5-32-544:F")


def recall(directory: Path) -> str | None:
    """The key of this data directory, None where it has none. Raises SetupError where this user
    may not read it."""
    file = directory / FILE
    try:
        return file.read_text(encoding="ascii").strip() or None
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a key"
        raise SetupError(
            f"cannot read {file} ({reason}), the key of the embedded MongoDB:"
            " run this as the user of the service"
        ) from error


def ensure(directory: Path) -> Path:
    """The file of the key, made where there is none and closed to others. Raises OSError, and
    SetupError where it is there and cannot be read."""
    file = directory / FILE
    if recall(directory) is None:
        draft = file.with_name(f".{FILE}.{secrets.token_hex(4)}.tmp")
        # 0600 from the first byte on.
        number = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(number, "wb") as out:
                # A multiple of three bytes gives no padding.
                out.write(base64.b64encode(secrets.token_bytes(96)))
                out.flush()
                os.fsync(out.fileno())
            draft.replace(file)
        finally:
            draft.unlink(missing_ok=True)
    if sys.platform == "win32":
        _close(file)
    elif file.stat().st_mode & 0o077:
        # Restored from a backup, perhaps; mongod refuses one that others can read.
        file.chmod(0o600)
    return file


def password(key: str) -> str:
    """The password of our user, derived, so that one file holds all that is secret."""
    digest = hmac.digest(key.encode(), b"cxone-consumer: user of the embedded MongoDB", "sha256")
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _close(file: Path) -> None:
    """Windows only: drop the rights that the folder hands on, which may let every account read."""
    command = [
        str(system_folder() / "icacls.exe"),
        str(file),
        "/inheritance:r",
        "/grant:r",
        *_WINDOWS_RIGHTS,
    ]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=30)  # noqa: S603
    except (OSError, subprocess.SubprocessError) as error:
        # A disk without access lists; the service is to run all the same.
        log.warning(
            "others may read the key of MongoDB", file=str(file), error=type(error).__name__
        )
