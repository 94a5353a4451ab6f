"""Count which fields events really send, and say what that shows: one vanished, or was renamed.

Public:
- statistics: the fields of a day's events, and how often they are sent in words
- vanished: fields that came and do not any more
- renamed: fields that likely go on under another name
- signals: what was found, from when on, and in words
- store: statistics and signals in MongoDB
"""
