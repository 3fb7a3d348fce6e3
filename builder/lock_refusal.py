"""How a lock is refused: with the line of what is wrong, and with what to do about it."""

from __future__ import annotations

from typing import Final, NoReturn, TypeVar

from builder.lock_tables import Table
from compliance.document import Document, Key, to_model
from compliance.errors import InvalidInput

RELOCK: Final = "Run `mlbuild lock`; it writes the file anew and keeps the versions that it can."

TableT = TypeVar("TableT", bound=Table)


class Refusing:
    """Reads tables of a lock."""

    def __init__(self, document: Document) -> None:
        self._document = document

    def model(self, model: type[TableT], *at: Key) -> TableT:
        """The table at `at`."""
        try:
            return to_model(self._document, model, at)
        except InvalidInput as error:
            raise InvalidInput(error.message, remedy=RELOCK) from error

    def fail(self, message: str, *at: Key, cause: Exception | None = None) -> NoReturn:
        """Refuse the lock for what stands at `at`."""
        raise InvalidInput(message, at=self._document.where(at), remedy=RELOCK) from cause
