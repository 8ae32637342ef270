"""What every other package stands on: paths, settings, errors, events, records, network, log.

Imports nothing of Inglenook outside this package.
"""
