"""The settings in force.

Only what differs from the default is stored; `None` means automatic, which is kept apart from what
a person chose.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from inglenook.base.declarations import SETTINGS
from inglenook.base.errors import UsageError
from inglenook.base.events import EventHub
from inglenook.base.setting import Value


@dataclass(frozen=True, slots=True)
class SettingChanged:
    """Published after a setting was saved."""

    key: str
    value: Value


class Settings:
    """The values in force. `load` gives what was stored, `save` keeps one (None deletes it).

    Thread-safe as long as `save` is. Stored values that no longer pass their check are ignored.
    """

    def __init__(
        self,
        load: Callable[[], Mapping[str, Value]],
        save: Callable[[str, Value, bool], None],
        hub: EventHub,
    ) -> None:
        self._save = save
        self._hub = hub
        self._chosen: dict[str, Value] = {}
        for key, value in load().items():
            if key in SETTINGS:
                try:
                    self._chosen[key] = SETTINGS[key].check(value)
                except UsageError:
                    continue

    def get(self, key: str) -> Any:
        """The value in force: what was chosen, else the default. None means automatic."""
        return self._chosen.get(key, SETTINGS[key].default)

    def is_chosen(self, key: str) -> bool:
        """Whether a person chose this value, rather than leaving the default."""
        return key in self._chosen

    def override(self, key: str, value: object) -> None:
        """Put a value in force for this process alone: it is not stored. Raises `UsageError`."""
        self._chosen[key] = SETTINGS[key].check(value)

    def set(self, key: str, value: object) -> None:
        """Check, store and announce a value; one equal to the default is not kept.

        Raises `UsageError` for an unknown key or a value out of range, `StorageError` when it
        cannot be saved (then nothing changes).
        """
        if key not in SETTINGS:
            raise UsageError(f"There is no setting named {key}.")
        checked = SETTINGS[key].check(value)
        is_default = checked == SETTINGS[key].default
        self._save(key, checked, is_default)
        if is_default:
            self._chosen.pop(key, None)
        else:
            self._chosen[key] = checked
        self._hub.publish(SettingChanged(key, checked))
