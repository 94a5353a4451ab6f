"""Run under the service manager of the system: systemd, or that of Windows."""
