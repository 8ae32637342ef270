"""The left pane: search, conversations, and the way to models, settings and the ledger."""

from inglenook.gui.sidebar.pane import Sidebar

__all__ = ["Sidebar"]
