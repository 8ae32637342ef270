"""The models page (Ctrl+M): Discover, Installed, Downloads. Made when it is first asked for."""

from inglenook.gui.models_page.page import ModelsPage

__all__ = ["ModelsPage"]
