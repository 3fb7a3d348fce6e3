"""Pages by key: what comes after a row, in the order of some columns, whatever was added or removed meanwhile."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, and_, or_


def after_key(columns: tuple[Any, ...], key: tuple[Any, ...]) -> ColumnElement[bool]:
    """Whether a row comes after another in the order of these columns."""
    conditions = [
        and_(*(column == value for column, value in zip(columns[:place], key[:place], strict=True)), last > limit)
        for place, (last, limit) in enumerate(zip(columns, key, strict=True))
    ]
    return or_(*conditions)
