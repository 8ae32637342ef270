"""The room of the local HTTP API: one wire dialect per file, all onto `chat` and `engine`.

Nothing listens yet. Its border stands in the import contracts: it sees chat and below, and neither
the window nor the command line reaches past it.
"""
