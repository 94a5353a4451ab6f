"""Mask, find and erase what belongs to a person.

Public:
- rules: Redaction: the paths hidden of each subject
- masks: a body with the bytes that are hidden
- paths: paths to hide, as people write them
- actions: the audit without what is hidden now
- person_query: a person, and the query for their events
- person_records: events and dead letters of a person
- name_erasure: a person's names in the schemas
- erasure: the whole erasure, and the rows of its report
"""
