"""`inglenook settings`: show and change what the window's settings page does; and `--set` for once.

`add_set_option` and `apply_assignments` are used by the commands that talk with a model.
"""

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any

import click

from inglenook.base.declarations import SETTINGS
from inglenook.base.errors import ExitCode, UsageError
from inglenook.base.setting import Setting, Value
from inglenook.base.settings import Settings
from inglenook.cli.program import Common, command

_AUTOMATIC = "automatic"
_YES = frozenset({"yes", "on", "true", "1"})
_NO = frozenset({"no", "off", "false", "0"})


@command("settings")
@click.argument("key", required=False)
@click.argument("value", required=False)
def settings(common: Common, key: str | None, value: str | None) -> int:
    """Show the settings, or one, or change one.

    VALUE automatic gives a setting back to what it is by itself.
    """
    with common.open_app() as app:
        chosen = [find_setting(key)] if key else list(SETTINGS.values())
        if value is not None:
            app.settings.set(chosen[0].key, read_value(chosen[0], value))
        shown = [describe_setting(app.settings, setting) for setting in chosen]
        if common.output.is_json:
            common.output.document(shown[0] if key else shown)
        elif key:
            common.output.line(f"{chosen[0].key}  {show_value(app.settings.get(chosen[0].key))}")
            common.output.note(f"{chosen[0].label}. {chosen[0].help}")
        else:
            rows = [(s.key, show_value(app.settings.get(s.key)), s.label) for s in chosen]
            common.output.table([("KEY", "VALUE", "MEANING"), *rows])
    return ExitCode.DONE


def add_set_option[F: Callable[..., Any]](function: F) -> F:
    """Give a command `--set KEY=VALUE`, told to it as `assignments`."""
    return click.option(
        "--set",
        "assignments",
        multiple=True,
        metavar="KEY=VALUE",
        help="A setting's value for this once; inglenook settings lists the keys.",
    )(function)


def apply_assignments(target: Settings, assignments: Sequence[str]) -> None:
    """Put KEY=VALUE in force for this process; raises `UsageError`."""
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise UsageError("--set takes KEY=VALUE.", "For example: --set top_k=20")
        setting = find_setting(key.strip())
        target.override(setting.key, read_value(setting, text.strip()))


def find_setting(key: str) -> Setting:
    """A setting by its key, or by the last part of it where that is enough."""
    if key in SETTINGS:
        return SETTINGS[key]
    found = [s for s in SETTINGS.values() if s.key.split(".", 1)[1] == key]
    if len(found) == 1:
        return found[0]
    near = get_close_matches(key, [*SETTINGS, *(k.split(".", 1)[1] for k in SETTINGS)], 1)
    hint = f"Did you mean {near[0]}? " if near else ""
    raise UsageError(
        f"There is no setting named {key[:60]}.", f"{hint}See: inglenook settings", code="setting"
    )


def read_value(setting: Setting, text: str) -> Value:
    """A value from what was typed; raises `UsageError` for what the setting does not take."""
    if text.casefold() == _AUTOMATIC and _AUTOMATIC not in setting.choices:
        return None if setting.optional else setting.default
    value: Value = text
    try:
        if setting.kind is bool:
            value = _read_switch(text)
        elif setting.kind is int:
            value = int(text.replace(",", ""))
        elif setting.kind is float:
            value = float(text)
    except ValueError as error:
        raise UsageError(
            f"{setting.label} takes {setting.describe_range()}.", code="setting_type"
        ) from error
    return setting.check(value.replace("\\n", "\n") if isinstance(value, str) else value)


def _read_switch(text: str) -> bool:
    if text.casefold() not in _YES | _NO:
        raise ValueError(text)
    return text.casefold() in _YES


def show_value(value: Value) -> str:
    """A value as it can be typed."""
    if value is None:
        return _AUTOMATIC
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value).replace("\n", "\\n")


def describe_setting(values: Settings, setting: Setting) -> dict[str, object]:
    """The object that `--json` prints."""
    return {
        "key": setting.key,
        "value": values.get(setting.key),
        "is_chosen": values.is_chosen(setting.key),
        "default": setting.default,
        "label": setting.label,
        "help": setting.help,
        "takes": setting.describe_range(),
    }
