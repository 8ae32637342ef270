"""Installed models and chosen settings, as they are kept. A part of `Store`."""

from collections.abc import Mapping

import msgspec
from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.sqlite import insert

from inglenook.base.records import InstalledModel
from inglenook.base.setting import Value
from inglenook.store.database import Database
from inglenook.store.rows import from_model, to_model, to_settings
from inglenook.store.schema import models, settings


class Shelf:
    """Models and settings of the open `database`."""

    _database: Database

    def list_models(self) -> tuple[InstalledModel, ...]:
        """List the models that were put here, in the order of their names."""
        query = select(models).order_by(models.c.name, models.c.id)
        rows = self._database.read(lambda c: c.execute(query).mappings().all())
        return tuple(model for row in rows if (model := to_model(row)) is not None)

    def put_model(self, model: InstalledModel) -> None:
        """Keep a model; one with the same id is replaced."""
        values = from_model(model)
        query = insert(models).values(**values)
        query = query.on_conflict_do_update(index_elements=["id"], set_=values)
        self._database.write(lambda c: c.execute(query).rowcount)

    def remove_model(self, model_id: str) -> None:
        """Forget a model; nothing happens when it is not there."""
        query = delete(models).where(models.c.id == model_id)
        self._database.write(lambda c: c.execute(query).rowcount)

    def load_settings(self) -> Mapping[str, Value]:
        """Load what was chosen; a value that cannot be read is left out."""
        rows = self._database.read(lambda c: c.execute(select(settings)).all())
        return to_settings((key, value) for key, value in rows)

    def save_setting(self, key: str, value: Value, is_default: bool) -> None:
        """Keep a chosen value; the default is not kept, so that a later default takes effect."""

        def work(connection: Connection) -> None:
            connection.execute(delete(settings).where(settings.c.key == key))
            if not is_default:
                encoded = msgspec.json.encode(value).decode()
                connection.execute(settings.insert().values(key=key, value=encoded))

        self._database.write(work)
