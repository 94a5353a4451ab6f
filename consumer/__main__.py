"""The command `cxone-consumer`, which `python -m consumer` is too."""

from __future__ import annotations

import sys

from consumer.runtime.memory import hold_collector, level_allocator, spare_rich


def main() -> None:
    """Run the command line and exit with its status."""
    if sys.platform == "win32" and sys.argv[1:2] == ["windows-service"]:
        hold_collector()
        spare_rich()
        # COMMAND of that module: for the service control manager alone, so no help names it, and
        # the command line with typer need not be imported.
        from consumer.os_service.windows_main import main as host  # noqa: PLC0415

        sys.exit(host(sys.argv[2:]))
    if "serve" in sys.argv:
        level_allocator()
        hold_collector()
        spare_rich()
    # Not to be imported twice: levelling starts the program anew.
    from consumer.cli.main import main as run  # noqa: PLC0415

    run()


if __name__ == "__main__":
    main()
