"""NAME=NUMBER on the command line, for what changes a catalog."""

from collections.abc import Callable, Mapping

from django.core.management.base import CommandError

from catalog.errors import CatalogError
from catalog.models import Catalog


def find_catalog(slug: str) -> Catalog:
    """The catalog with this slug, or one line that says there is none."""
    catalog = Catalog.objects.filter(slug=slug).first()
    if catalog is None:
        raise CommandError(f"There is no catalog {slug!r}.")
    return catalog


def change_catalog(
    slug: str, texts: list[str], change: Callable[[Catalog, Mapping[str, float]], Catalog]
) -> Catalog:
    """The catalog, changed by what NAME=NUMBER texts say; as it is where there is none.

    Raises
    ------
    CommandError
        One line that says what is wrong.
    """
    catalog = find_catalog(slug)
    try:
        return change(catalog, dict(map(_number, texts))) if texts else catalog
    except CatalogError as fault:
        raise CommandError(str(fault)) from fault


def _number(text: str) -> tuple[str, float]:
    name, equals, value = text.partition("=")
    try:
        return name, float(value if equals else "none")
    except ValueError:
        raise CommandError(f"{text!r} is not NAME=NUMBER, such as view=0.1.") from None
