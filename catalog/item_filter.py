"""The one filter grammar: which items a rule, a request of the API, or a page means.

    category = "Dairy" and price < 5 and not brand in ("X", "Y") and published > 7d ago

    filter    = all { "or" all }                 all = one { "and" one }
    one       = "not" one | "(" filter ")" | condition
    condition = FIELD ( "=" | "!=" | "<" | "<=" | ">" | ">=" ) value
              | FIELD [ "not" ] "in" "(" value { "," value } ")"
              | "on_offer"
    FIELD     = "category" | "brand" | "price" | "published" | "on_offer" | "attributes." NAME
    value     = "text" | 4.99 | true | false | 2026-01-31 | 7d ago  (h, d, w)

An item without the field fits no comparison; `!=` and `not in` are the negation of `=` and `in`. A
category includes those below it. Texts are compared whatever their case. ranking/item_mask.py says
which items of an index fit.
"""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NoReturn

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from catalog.errors import CatalogError

LONGEST = 2_000  # characters of a filter
DEEPEST = 40  # brackets and nots within each other
SECONDS = {"h": 3_600.0, "d": 86_400.0, "w": 604_800.0}
TOKEN = re.compile(
    r"""\s*(?:
      (?P<text>"(?:[^"\\]|\\.)*")
    | (?P<date>\d{4}-\d{2}-\d{2}(?![\w.]))
    | (?P<age>\d+(?:\.\d+)?[hdw]\b)
    | (?P<number>-?\d+(?:\.\d+)?(?![\w.]))
    | (?P<word>[^\W\d]\w*(?:\.(?:[\w-]+|"(?:[^"\\]|\\.)*"))?)
    | (?P<sign><=|>=|!=|=|<|>|\(|\)|,)
    )""",
    re.VERBOSE,
)
ORDERS = ("<", "<=", ">", ">=")
FIELDS = {  # field → the values it is compared with, and by which signs
    "category": ("text", ("=", "!=")),
    "brand": ("text", ("=", "!=")),
    "price": ("number", ("=", "!=", *ORDERS)),
    "published": ("time", ORDERS),
    "on_offer": ("truth", ("=", "!=")),
    "attributes": ("any", ("=", "!=", *ORDERS)),
}
KNOWN = gettext_noop("category, brand, price, published, on_offer or attributes.NAME")
EXAMPLES = {
    "text": gettext_noop('a text such as "Dairy"'),
    "number": gettext_noop("a number such as 4.99"),
    "time": gettext_noop("a time such as 7d ago or 2026-01-31"),
    "truth": gettext_noop("true or false"),
    "any": gettext_noop('a value such as "red", 4.99 or true'),
}


class FilterError(CatalogError):
    """A filter that cannot be read; `position` counts characters from 1."""

    def __init__(self, position: int, expected: str, found: str) -> None:
        told = {"position": position, "expected": expected, "found": found}
        super().__init__(
            _("Character %(position)d: expected %(expected)s, found %(found)s.") % told
        )
        self.position, self.expected = position, expected


@dataclass(frozen=True)
class Ago:
    """A moment that moves along: so long before now."""

    seconds: float


Value = str | float | bool | datetime | Ago


@dataclass(frozen=True)
class Condition:
    """One comparison: `=` with one or more values (any of them), or an order with one."""

    field: str
    sign: str  # =, <, <=, >, >=
    values: tuple[Value, ...]
    attribute: str = ""  # of the field `attributes`


@dataclass(frozen=True)
class Not:
    """What the inner filter does not mean."""

    inner: "Filter"


@dataclass(frozen=True)
class Every:
    """What all parts mean."""

    parts: tuple["Filter", ...]


@dataclass(frozen=True)
class Some:
    """What at least one part means."""

    parts: tuple["Filter", ...]


Filter = Condition | Not | Every | Some


def parse(text: str) -> Filter:
    """Read a filter.

    Raises
    ------
    FilterError
        Says where, what was expected there, and what stands there.
    """
    if len(text) > LONGEST:
        most = _("at most %(number)s characters") % {"number": f"{LONGEST:,}"}
        raise FilterError(LONGEST + 1, most, f"{len(text):,}")
    reader = _Reader(_tokens(text), len(text.rstrip()) + 1)
    found = reader.some(0)
    if not reader.at("end", ""):
        reader.fail(_("and, or, or the end"))
    return found


@dataclass(frozen=True)
class _Token:
    kind: str  # text, date, age, number, word, sign, end
    text: str
    position: int  # of its first character, from 1


def _tokens(text: str) -> list[_Token]:
    tokens, place = [], 0
    while text[place:].strip():
        match = TOKEN.match(text, place)
        if match is None or match.lastgroup is None:
            place += len(text[place:]) - len(text[place:].lstrip())
            known = _("%(known)s, a value, or a sign") % {"known": _(KNOWN)}
            what = _('a closing "') if text[place] == '"' else known
            raise FilterError(place + 1, what, repr(text[place : place + 12]))
        kind = match.lastgroup
        tokens.append(_Token(kind, match[kind], match.start(kind) + 1))
        place = match.end()
    return tokens


class _Reader:
    """Recursive descent: a method a line of the grammar."""

    def __init__(self, tokens: list[_Token], end: int) -> None:
        self.tokens, self.place = [*tokens, _Token("end", "", end)], 0

    @property
    def token(self) -> _Token:
        return self.tokens[self.place]

    def at(self, kind: str, text: str) -> bool:
        return self.token.kind == kind and self.token.text.lower() == text

    def take(self, kind: str, text: str) -> bool:
        """Whether this token came; steps over it."""
        came = self.at(kind, text)
        self.place += came
        return came

    def fail(self, expected: str) -> NoReturn:
        token = self.token
        found = _("the end") if token.kind == "end" else f"{token.text[:40]!r}"
        raise FilterError(token.position, expected, found)

    def some(self, depth: int) -> Filter:
        parts = [self.every(depth)]
        while self.take("word", "or"):
            parts.append(self.every(depth))
        return parts[0] if len(parts) == 1 else Some(tuple(parts))

    def every(self, depth: int) -> Filter:
        parts = [self.one(depth)]
        while self.take("word", "and"):
            parts.append(self.one(depth))
        return parts[0] if len(parts) == 1 else Every(tuple(parts))

    def one(self, depth: int) -> Filter:
        if depth > DEEPEST:
            told = {"number": DEEPEST}
            self.fail(_("at most %(number)d brackets and nots within each other") % told)
        if self.take("word", "not"):
            return Not(self.one(depth + 1))
        if self.take("sign", "("):
            inner = self.some(depth + 1)
            self.need(")")
            return inner
        return self.condition()

    def condition(self) -> Filter:
        field, attribute = self.field()
        kind, signs = FIELDS[field]
        if field == "on_offer" and self.token.text not in signs and not self.at("word", "in"):
            return Condition(field, "=", (True,))
        if field != "published":
            if self.take("word", "in"):
                return Condition(field, "=", self.values(kind), attribute)
            if self.take("word", "not"):
                if not self.take("word", "in"):
                    self.fail("in")
                return Not(Condition(field, "=", self.values(kind), attribute))
        sign = self.token.text
        if self.token.kind != "sign" or sign not in signs:
            told = {"signs": ", ".join(signs)}
            self.fail(
                told["signs"] if field == "published" else _("%(signs)s, in or not in") % told
            )
        self.place += 1
        value = self.value("number" if kind == "any" and sign in ORDERS else kind)
        if sign == "!=":
            return Not(Condition(field, "=", (value,), attribute))
        return Condition(field, sign, (value,), attribute)

    def field(self) -> tuple[str, str]:
        """Its name, and the attribute's."""
        token = self.token
        field, _dot, attribute = token.text.partition(".")
        is_attribute = field.lower() == "attributes"
        if token.kind != "word" or field.lower() not in FIELDS or is_attribute != bool(attribute):
            self.fail(_("not, ( or a field: %(known)s") % {"known": _(KNOWN)})
        self.place += 1
        if attribute.startswith('"'):
            attribute = _unquoted(attribute, token.position)
        return field.lower(), attribute

    def values(self, kind: str) -> tuple[Value, ...]:
        self.need("(")
        found = [self.value(kind)]
        while self.take("sign", ","):
            found.append(self.value(kind))
        self.need(")", _(", or "))
        return tuple(found)

    def need(self, sign: str, before: str = "") -> None:
        if not self.take("sign", sign):
            self.fail(f"{before}{sign}")

    def value(self, kind: str) -> Value:
        token = self.token
        found: Value | None = None
        if token.kind == "text" and kind in ("text", "any"):
            found = _unquoted(token.text, token.position)
        elif token.kind == "number" and kind in ("number", "any"):
            found = float(token.text)
        elif token.text.lower() in ("true", "false") and kind in ("truth", "any"):
            found = token.text.lower() == "true"
        elif kind == "time":
            found = self.moment(token)
        if found is None:
            self.fail(_(EXAMPLES[kind]))
        self.place += 1
        return found

    def moment(self, token: _Token) -> Value | None:
        if token.kind == "date":
            try:
                return datetime.fromisoformat(token.text).replace(tzinfo=UTC)
            except ValueError:
                return None
        if token.kind == "age":
            self.place += 1
            if not self.at("word", "ago"):
                self.fail("ago")
            return Ago(float(token.text[:-1]) * SECONDS[token.text[-1]])
        return None


def _unquoted(text: str, position: int) -> str:
    """The text between the quotes, which is written as in JSON."""
    try:
        return str(json.loads(text, strict=False))
    except ValueError:
        raise FilterError(position, _(EXAMPLES["text"]), repr(text[:40])) from None
