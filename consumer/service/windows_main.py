"""Run `windows-service` for services that were registered before it: kept for one release.

`service install` registers anew, and then nothing names this module any more.
"""

from __future__ import annotations

import sys

from consumer.os_service.windows_main import main

if __name__ == "__main__":
    sys.exit(main())
