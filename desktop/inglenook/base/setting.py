"""What one setting is: key, default, range, label and help in one declaration."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from inglenook.base.errors import UsageError

type Value = bool | int | float | str | None
type Section = Literal["appearance", "replies", "engine", "models", "network", "privacy"]


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. `kind` is the value's type; `optional` ones take None, which means automatic."""

    key: str
    section: Section
    kind: type[bool] | type[int] | type[float] | type[str]
    default: Value
    label: str
    help: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    optional: bool = False
    multiline: bool = False
    advanced: bool = False
    """Whether it stands below the fold of its section."""
    needs_load: bool = False
    """Whether a change takes effect when a model is loaded the next time."""
    reads: Callable[[str], object] | None = None
    """Reads a text of a certain form, or raises `UsageError`."""

    def check(self, value: object) -> Value:
        """Return `value` as this setting's type, or raise `UsageError` with what is allowed."""
        if value is None and self.optional:
            return None
        if self.kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if type(value) is not self.kind:
            raise UsageError(f"{self.label} takes {self.describe_range()}.", code="setting_type")
        if isinstance(value, int | float) and not isinstance(value, bool):
            low, high = self.minimum, self.maximum
            if (
                value != value
                or (low is not None and value < low)
                or (high is not None and value > high)
            ):
                raise UsageError(
                    f"{self.label} takes {self.describe_range()}.", code="setting_range"
                )
        if self.choices and value not in self.choices:
            raise UsageError(f"{self.label} takes {self.describe_range()}.", code="setting_choice")
        if self.reads is not None and isinstance(value, str) and value.strip():
            self.reads(value)
        return value

    def describe_range(self) -> str:
        """Say in words which values are allowed."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        name = {bool: "yes or no", int: "a whole number", float: "a number", str: "text"}[self.kind]
        if self.minimum is not None and self.maximum is not None:
            name += f" from {self.minimum:,.10g} to {self.maximum:,.10g}"
        return name + (", or automatic" if self.optional else "")
