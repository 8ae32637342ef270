"""Inglenook: private conversations with language models on one's own machine."""

__version__ = "0.1.0"
