"""Give programs downstream the data in the shape of one version, in views that keep it.

Public:
- pins: the version of a subject that a reader is written for
- moment: the pipelines of views, as schemas and masks are at one moment
- projection: what a reader sees of a document
- verdicts: what breaks a reader
- judge: what broke the readers that are pinned
- views: the views of pins, kept what pins and schemas say
- objections: rejected changes, and what speaks against a change now
"""
