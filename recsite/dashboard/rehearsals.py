"""Rehearsals of bundles beside the pages: begun by a button or by the page that promotes."""

from catalog.models import Catalog
from ranking.bundle import bundle_exists
from recsite.dashboard.beside import Beside
from training.errors import TrainingFault
from training.gate import rehearsal_beside
from training.models import ModelVersion
from training.registry import live_version
from training.rehearsal import try_out

beside: Beside[None] = Beside(told=(TrainingFault,))


def wants_rehearsal(version: ModelVersion, live: ModelVersion | None) -> bool:
    """Whether it was not tried beside the model that is live now, and could be."""
    champion = live if live is not None and live.pk != version.pk else None
    return rehearsal_beside(version.metrics, champion) is None and bundle_exists(version.bundle_id)


def begin(version: ModelVersion) -> None:
    """Try it out beside what is live, unless somebody is at it."""
    key = _key(version, version.catalog)
    if not beside.goes_on(key):
        beside.forget(key)
        beside.ask(key, lambda: _try_out(version.pk))


def goes_on(version: ModelVersion) -> bool:
    """Whether a rehearsal of it goes on in this process."""
    return beside.goes_on(_key(version, version.catalog))


def _try_out(version_id: int) -> None:
    version = ModelVersion.objects.select_related("catalog").get(pk=version_id)
    live = live_version(version.catalog)
    try_out(version, live if live is not None and live.pk != version.pk else None)


def _key(version: ModelVersion, catalog: Catalog) -> str:
    return f"{version.bundle_id} {catalog.live_bundle}"
