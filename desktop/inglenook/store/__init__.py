"""Everything that must survive: conversations, messages, models, settings, in one SQLite file.

ORM rows never leave this package; the frozen records of `records` do.
"""
