"""The demo shop and the demo news."""

from collections.abc import Callable

from catalog.demo import news, shop
from catalog.errors import CatalogError, database_faults
from catalog.models import Catalog

Progress = Callable[[str, int, int | None], None]  # stage, rows done, rows in all

LOADERS: dict[str, Callable[[str, Progress, int | None], Catalog]] = {
    shop.SLUG: shop.load,
    news.SLUG: news.load,
}
SCALES = ("small", "full")


@database_faults()
def load(slug: str, scale: str, progress: Progress, *, limit: int | None = None) -> None:
    """Load a demo catalog. A second call changes nothing, a killed one goes on where it stopped.

    Parameters
    ----------
    slug
        shop or news.
    scale
        small: ready within half a minute. full: all there is.
    progress
        Told how far each stage has come.
    limit
        At most so many items and people; for tests.

    Raises
    ------
    CatalogError
        When there is no such demo, its data is not installed, or the database gives up.
    """
    if slug not in LOADERS:
        raise CatalogError(f"There is no demo '{slug}'; there are {', '.join(LOADERS)}.")
    if scale not in SCALES:
        raise CatalogError(f"There is no scale '{scale}'; there are {', '.join(SCALES)}.")
    LOADERS[slug](scale, progress, limit)
