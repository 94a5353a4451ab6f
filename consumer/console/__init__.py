"""The console: what the service does, in the browser, under /console.

It is imported only where CXONE_CONSOLE_PASSWORD is set (`consumer.runtime.console`). Falcon routes,
Jinja2 renders on the server, and everything works without JavaScript.

How to add a screen:

1. Write `screens/NAME.py`: a function `show(parts, request)` that returns the values for its
   template, read through bounded and indexed queries of the domains. It may also return a
   `Download`, and raise `Missing` (404) or `Invalid` (400) with a text for people. Whatever it asks
   for that `context.Parts` lacks is added there and wired in `consumer/runtime/console.py`.
2. Write `templates/NAME.html`: `{% extends "base.html" %}`, a block `content`, and in it a block
   `live` around what may be fetched anew every few seconds. `macros.html` has tables, badges,
   pages, figures, and forms with their CSRF token. Every value is escaped; never use `|safe`.
3. Add a row to `routes.SCREENS`: path, title, template, `show`, and where it stands in the
   navigation. Texts from outside (subjects, ids) go into the query, never into the path.
4. A deed is a function `act(parts, request)` in the same row: it reads `request.form`, calls
   `request.record(...)` BEFORE it does anything, and returns `Done(where, said)`, or values that
   show the same template again. Session, CSRF token, host and size are checked before it is called.
5. Test it in `tests/browser` with its fixtures `console` and `browser`, and look at it: on a desk,
   on a phone, in the dark.
"""
