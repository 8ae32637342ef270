"""Joins the composer's "Think" with a setting, where the loaded model can be switched."""

import logging

from PySide6.QtCore import QObject

from inglenook.app import App
from inglenook.base.errors import UserError
from inglenook.base.settings import SettingChanged
from inglenook.engine.protocol import Loaded
from inglenook.gui.bridge import Bridge
from inglenook.gui.chat_controller import ChatController
from inglenook.gui.chat_page import ChatPage

log = logging.getLogger(__name__)

_KEY = "replies.reasoning"


class ThinkSwitch(QObject):
    """Shows the switch where it does something, and keeps what is chosen."""

    def __init__(
        self, app: App, page: ChatPage, bridge: Bridge, chat: ChatController, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._app = app
        self._page = page
        self._chat = chat
        self._known: dict[str, Loaded] = {}
        """Models that were loaded: one that was put away for being idle can be switched still."""
        bridge.engine_changed.connect(self._on_engine_changed)
        bridge.happened.connect(self._on_event)
        chat.model_wanted.connect(lambda _: self.refresh())
        chat.opened.connect(lambda _: self.refresh())
        page.composer.thinking_chosen.connect(self._on_chosen)

    def refresh(self) -> None:
        """Show the switch as the model and the setting have it."""
        self._page.composer.set_thinking(self._find_state())

    def _find_state(self) -> bool | None:
        loaded = self._known.get(self._chat.model_id)
        if loaded is None or loaded.reasoning != "switchable":
            return None
        chosen = {"on": True, "off": False}.get(self._app.settings.get(_KEY))
        return loaded.reasons_unasked if chosen is None else chosen

    def _on_chosen(self, is_on: bool) -> None:
        try:
            self._app.settings.set(_KEY, "on" if is_on else "off")
        except UserError as error:
            log.warning("the choice could not be kept (%s)", error.code)
        self.refresh()

    def _on_engine_changed(self, event: object) -> None:
        if isinstance(event, Loaded):
            self._known[event.model_id] = event
            self.refresh()

    def _on_event(self, event: object) -> None:
        if isinstance(event, SettingChanged) and event.key == _KEY:
            self.refresh()
