"""Readable words for the terse, upper-case names of the shop's data: tables and a few rules."""

import re
import tomllib
from pathlib import Path

TABLES = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
DEPARTMENTS: dict[str, str] = TABLES["departments"]
PHRASES: dict[str, str] = TABLES["phrases"]
QUALIFIERS = frozenset[str](TABLES["qualifiers"])
WORDS: dict[str, str] = TABLES["words"]
NAMES: dict[str, str] = TABLES["names"]
UNITS: dict[str, str] = TABLES["units"]

# Produce whose noun comes first in the data: "PEPPERS RED BELL".
NOUNS_FIRST = re.compile(
    r"^(apples|carrots|grapes|mushrooms|nectarines|onions|oranges|peaches|pears|peppers|plums"
    r"|potatoes|tomatoes) ([a-z /&]+)$"
)
CASE_SIZE = re.compile(r"^(\d{2,}(\.\d+)? LB|\d{2,}(-\d+)? CT)$")  # how a store gets loose produce

_PARENTHESIS = re.compile(r"\([^)]*\)?")
_HEAD = re.compile(r"^([A-Z .&]+?)\s*[:\-]\s+?([A-Z].*)$|^([A-Z ]+):([A-Z].*)$")


def readable(code: str) -> str:
    """A name in sentence case; '' for an empty one.

    >>> readable("ICE - CRUSHED/CUBED"), readable("FRZN ICE"), readable("BREAD:ITALIAN/FRENCH")
    ('Crushed/cubed ice', 'Frozen ice', 'Italian/French bread')
    """
    code = " ".join(code.split()) if code not in PHRASES else code
    if code in PHRASES:
        return PHRASES[code]
    text = _PARENTHESIS.sub(" ", code)
    if text.endswith("-MAGAZINE"):
        text = f"{text.removesuffix('-MAGAZINE')} MAGAZINE"
    if match := _HEAD.match(text):
        head, rest = match[1] or match[3], match[2] or match[4]
        text = f"{rest} {head}"
    words = [_word(word) for word in re.split(r"([^A-Z0-9.%']+)", text.upper())]
    joined = re.sub(r"\s*/\s*", "/", "".join(words).replace("&", " & "))
    joined = NOUNS_FIRST.sub(r"\2 \1", " ".join(joined.split()).strip(" ,-/&.:"))
    return joined[:1].upper() + joined[1:]


def _word(word: str) -> str:
    plain = WORDS.get(word.strip("."), word).lower() if word not in WORDS else WORDS[word]
    return NAMES.get(plain, plain)


def size_text(code: str) -> str:
    """A package size for people.

    >>> size_text("22 LB"), size_text("12 PK/12 OZ"), size_text(".5 OZ"), size_text("CTN")
    ('22 lb', '12 pack/12 oz', '0.5 oz', 'carton')
    """
    text = re.sub(r"(?<![\d.])\.(\d)", r"0.\1", code.strip())
    return re.sub(r"[A-Z]+", lambda match: UNITS.get(match[0], match[0].lower()), text)


def title(product_type: str, category: str, size: str, *, is_store_brand: bool) -> str:
    """What a card calls a product.

    >>> title("ICE - CRUSHED/CUBED", "FRZN ICE", "22 LB", is_store_brand=False)
    'Crushed/cubed ice, 22 lb'
    >>> title("PREMIUM", "BACON", "16 OZ", is_store_brand=True)
    'Store brand premium bacon, 16 oz'
    """
    name, group = readable(product_type), readable(category)
    if product_type in QUALIFIERS and group:
        kind = readable(product_type.removesuffix(" - MEAT").removesuffix(" PINTS"))
        name = group if kind in {"Miscellaneous", "Other"} else f"{kind} {_lower_first(group)}"
    name = name or group or "Other product"
    if is_store_brand:
        name = f"Store brand {_lower_first(name)}"
    return f"{name}, {size_text(size)}" if size else name


def _lower_first(text: str) -> str:
    first = text.split(" ")[0].split("/")[0].strip(",")
    return text if first in NAMES.values() or first.isupper() else text[:1].lower() + text[1:]
