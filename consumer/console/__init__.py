"""Show what the service does, and take decisions about it, in the browser under /console.

It is imported only where CXONE_CONSOLE_PASSWORD is set (`consumer.runtime.console`). Falcon routes,
Jinja2 renders on the server, and everything works without JavaScript. .github/CONTRIBUTING.md says
how to add a screen.

Public:
- routes: the table of screens, and `mount`, which puts all on an application
- context: what the screens are handed
- event_rows: a stored event as a tree of marked rows
- traffic: pictures of what came in
"""
