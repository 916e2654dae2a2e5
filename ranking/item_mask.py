"""Which items of an index a filter means; see catalog/item_filter.py for its grammar."""

import operator
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalog.item_filter import Ago, Condition, Every, Filter, Not, Some, Value
from ranking.item_index import ItemIndex

BoolArray = NDArray[np.bool_]
COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def mask(wanted: Filter, items: ItemIndex, now: float) -> BoolArray:
    """Whether each item fits. (N,)

    Texts are looked at once a distinct value, not once an item. `now`: seconds since the epoch.
    """
    match wanted:
        case Not(inner):
            return ~mask(inner, items, now)
        case Every(parts):
            return reduce(operator.and_, (mask(part, items, now) for part in parts))
        case Some(parts):
            return reduce(operator.or_, (mask(part, items, now) for part in parts))
    return _condition(wanted, items, now)


def _condition(wanted: Condition, items: ItemIndex, now: float) -> BoolArray:
    match wanted.field:
        case "category":
            texts = [str(value).casefold() for value in wanted.values]
            inside = tuple(f"{text} > " for text in texts)
            fits = [
                name in texts or name.startswith(inside)
                for name in map(str.casefold, items.category_names)
            ]
            return _of_codes(fits, items.categories)
        case "price":
            return _numbers(items.prices.astype(np.float64).round(2), wanted.sign, wanted.values)
        case "published":
            moments = [_moment(value, now) for value in wanted.values]
            return _numbers(items.published, wanted.sign, moments)
        case "on_offer":
            active = items.offers.active(np.arange(len(items)), now) > 0
            return np.isin(active, [value is True for value in wanted.values])
    values, codes = items.attribute(wanted.attribute or wanted.field)  # brand is an attribute, too
    return _of_codes([_fits(value, wanted) for value in values], codes)


def _of_codes(fits: Sequence[bool], codes: NDArray[np.int64]) -> BoolArray:
    """By code, then by item; −1 fits nothing. (C,) and (N,) → (N,)"""
    return np.append(np.array(fits, dtype=bool), False)[codes]


def _numbers(column: NDArray[np.float64], sign: str, values: Sequence[Any]) -> BoolArray:
    """Whether a number compares so with any of the values; NaN does with none. (N,)"""
    with np.errstate(invalid="ignore"):
        return reduce(operator.or_, (COMPARE[sign](column, value) for value in values))


def _moment(value: Value, now: float) -> float:
    if isinstance(value, Ago):
        return now - value.seconds
    assert isinstance(value, datetime)
    return value.timestamp()


def _fits(value: Any, wanted: Condition) -> bool:
    """Whether an attribute's value, or one of a list of them, compares so."""
    if isinstance(value, list):
        return any(_fits(one, wanted) for one in value if not isinstance(one, list))
    return any(_compares(value, wanted.sign, other) for other in wanted.values)


def _compares(value: Any, sign: str, other: Value) -> bool:
    if isinstance(other, bool):
        return value is other or (isinstance(value, str) and value.casefold() == str(other).lower())
    if isinstance(other, str):
        return value is not None and _plain(value) == other.casefold()
    if isinstance(value, bool):
        return False
    try:  # imports may have stored numbers as texts
        return bool(COMPARE[sign](float(value), other))
    except (TypeError, ValueError):
        return False


def _plain(value: Any) -> str:
    return str(value).casefold()
