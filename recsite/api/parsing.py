"""JSON in: strict, bounded, and with the place of what is wrong."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import IO, Any, NoReturn, TypeVar

from django.conf import settings
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.parsers import BaseParser
from rest_framework.request import Request

from catalog.item_filter import FilterError, parse
from recsite.api.problems import BodyTooLarge, InvalidBody, InvalidParameter

Checked = TypeVar("Checked", bound=serializers.Serializer[Any])


def _number(text: str) -> float:
    """A float that PostgreSQL's JSON can hold."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:20]} is too large")
    return number


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _unstorable(value: object, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Paths of texts that no UTF-8 column holds: NUL characters, halves of surrogate pairs."""
    if isinstance(value, str):
        if any(char == "\0" or "\ud800" <= char <= "\udfff" for char in value):
            yield path
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _unstorable(key, path)
            yield from _unstorable(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _unstorable(inner, (*path, str(index)))


class StrictJSONParser(BaseParser):
    """JSON in UTF-8, no larger than `DATA_UPLOAD_MAX_MEMORY_SIZE`, storable as it is."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """The parsed body. Errors: BodyTooLarge (413), InvalidBody (422)."""
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE  # bytes
        raw: bytes = stream.read(limit + 1)
        if len(raw) > limit:
            raise BodyTooLarge(f"A body may hold {limit:,} bytes at most; send smaller batches.")
        try:
            body = json.loads(raw.decode(), parse_float=_number, parse_constant=_constant)
        except UnicodeDecodeError as error:
            raise InvalidBody([f"Not UTF-8 (byte {error.start})."]) from error
        except RecursionError as error:
            raise InvalidBody(["Nested too deeply."]) from error
        except ValueError as error:
            raise InvalidBody([f"Not valid JSON: {error}."]) from error
        if b"\\u" in raw:  # without an escape neither can be in a valid UTF-8 text
            _refuse_unstorable(body)
        return body


def _refuse_unstorable(body: object) -> None:
    """Errors: InvalidBody with the place of the first text that cannot be stored."""
    path = next(_unstorable(body, ()), None)
    if path is not None:
        detail: Any = ["Holds a NUL character or half of a surrogate pair."]
        for part in reversed(path):
            detail = {part.encode("utf-8", "replace").decode(): detail}
        raise InvalidBody(detail)


@extend_schema_field(OpenApiTypes.STR)
class FilterField(serializers.CharField):
    """Which items, in the grammar of catalog/item_filter.py; the fault says where it stands."""

    def __init__(self, **kwargs: Any) -> None:
        told = 'Only items that fit, such as `price < 5 and category = "Dairy"`.'
        super().__init__(help_text=told, **kwargs)

    def to_internal_value(self, data: Any) -> Any:
        """The parsed filter. Errors: ValidationError with the position."""
        try:
            return parse(super().to_internal_value(data))
        except FilterError as fault:
            raise serializers.ValidationError(str(fault)) from fault


class StrictSerializer(serializers.Serializer[Any]):
    """A serializer that refuses fields it doesn't know, so that no misspelt one is ignored."""

    def to_internal_value(self, data: Any) -> Any:
        """The checked values. Errors: ValidationError with every fault of the row."""
        if isinstance(data, Mapping):
            unknown = [str(name) for name in data if name not in self.fields]
            if unknown:
                reason = f"Unknown field; known are {', '.join(self.fields)}."
                raise serializers.ValidationError({name: [reason] for name in unknown})
        return super().to_internal_value(data)


def read_body(serializer_class: type[Checked], request: Request, **kwargs: Any) -> dict[str, Any]:
    """The checked body. Errors: InvalidBody (422) with pointers."""
    serializer = serializer_class(data=request.data, **kwargs)
    if not serializer.is_valid():
        raise InvalidBody(serializer.errors)
    return dict(serializer.validated_data)


def read_query(serializer_class: type[Checked], request: Request) -> dict[str, Any]:
    """The checked query parameters. Errors: InvalidParameter (422) with their names."""
    serializer = serializer_class(data=request.query_params)
    if not serializer.is_valid():
        raise InvalidParameter(serializer.errors)
    return dict(serializer.validated_data)
