"""Run under the service manager of the system: systemd, or that of Windows.

Public:
- files: written whole, with their rights; where our own code is
- layout: names and places of the service
- linux: installing under systemd
- log_file: a log of our own, and following it
- secret_rotation: a new secret in the settings file
- settings_file: settings fitted for a service
- systemctl: systemd's own command
- systemd_notify: reports to systemd
- watch: reports to any service manager
- windows_acl: files closed to other accounts
- windows_main: the process that Windows starts
- windows_scm: the service control manager of Windows
"""
