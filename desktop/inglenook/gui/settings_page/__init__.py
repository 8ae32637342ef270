"""The settings page (Ctrl+,), made when it is first asked for."""

from inglenook.gui.settings_page.page import SettingsPage

__all__ = ["SettingsPage"]
