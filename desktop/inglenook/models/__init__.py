"""Models on disk and where they come from: headers, library, catalogue, hub, downloads, fit.

Used by app and, through it, by the command line and the window. Knows nothing of the store: the
index of installed models is handed in (`library.ModelIndex`).
"""
