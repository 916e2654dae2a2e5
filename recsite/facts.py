"""What the data says about an item or a person, in words for a table."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

# What the demo's data calls its attributes; a name that is not here is shown as it is.
KNOWN = (
    gettext_noop("Brand"),
    gettext_noop("Manufacturer"),
    gettext_noop("Size"),
    gettext_noop("Age"),
    gettext_noop("Income"),
    gettext_noop("Home ownership"),
    gettext_noop("Marital status"),
    gettext_noop("Household size"),
    gettext_noop("Household comp"),
    gettext_noop("Kids count"),
)


def of(attributes: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(name, value) of each attribute that is a plain value; codes of the data are left out."""
    return [
        (_in_words(name), str(value))
        for name, value in attributes.items()
        if isinstance(value, str | int | float) and value != "" and not name.endswith("_code")
    ]


def _in_words(name: str) -> str:
    words = name.replace("_", " ").capitalize()
    return _(words) if words in KNOWN else words
