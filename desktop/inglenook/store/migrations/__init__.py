"""The migrations: each makes the next schema version out of the one before, in one transaction.

Run by `opening` alone, under the gate, after a verified backup of all but an empty database.
"""
