"""What is ready and what is not: database, broker, worker, encoder, and each catalog."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import kombu
from amqp.exceptions import AMQPError
from django.conf import settings
from django.db import connection
from django.db.models import Count
from django.utils.translation import gettext, gettext_noop
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from catalog.models import Catalog, EncoderVersion, Item, ItemVector, LoadState
from recsite.celery import app
from recsite.fresh import Fresh

BROKER_TIMEOUT = 0.5  # seconds
WORKER_TIMEOUT = 0.7  # seconds; a worker's main process answers a ping within milliseconds
BROKER_FAULTS = (KombuError, RedisError, AMQPError, OSError)
FRESH_FOR = 3.0  # seconds for which a look at broker and workers is good enough
WHILE_NEW = 15.0  # seconds for which it will do while a new one is taken


@dataclass(frozen=True)
class Part:
    """One part of the installation."""

    ready: bool
    fault: str = ""  # a sentence where it isn't ready, with %(cause)s for what else is told
    cause: str = ""

    @property
    def detail(self) -> str:
        """The sentence, in the language of whoever asks; a look is shared by all."""
        sentence = gettext(self.fault)
        return sentence % {"cause": self.cause} if self.cause else sentence

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"ready": self.ready} | ({"detail": self.detail} if self.detail else {})


@dataclass(frozen=True)
class CatalogHealth:
    """One catalog: what is in it, and what still loads."""

    slug: str
    name: str
    items: int
    vectors: int  # items that its newest encoder has seen
    bundle_id: str  # '' = none is promoted
    loads: list[dict[str, Any]] = field(default_factory=list)

    @property
    def ready(self) -> bool:
        """Whether there is something to recommend and nothing is still on its way."""
        return self.items > 0 and all(load["finished"] for load in self.loads)


class _Backstage:
    """Broker and workers, looked at once every few seconds whoever asks."""

    def __init__(self) -> None:
        self._fresh = Fresh(self._look, FRESH_FOR, WHILE_NEW)

    def parts(self) -> dict[str, Part]:
        """`broker` and `worker`."""
        return self._fresh.now()

    def _look(self) -> dict[str, Part]:
        broker = broker_part()
        if not broker.ready:
            return {
                "broker": broker,
                "worker": Part(False, gettext_noop("Not seen: no broker.")),
            }
        return {"broker": broker, "worker": worker_part()}


backstage = _Backstage()


def broker_part() -> Part:
    """Whether the broker takes connections; two tries, half a second each at most."""
    try:
        with kombu.Connection(settings.CELERY_BROKER_URL, connect_timeout=BROKER_TIMEOUT) as broker:
            broker.ensure_connection(max_retries=1, interval_start=0, interval_step=0)
    except BROKER_FAULTS as error:
        return _out_of_reach(error)
    return Part(True)


def worker_part() -> Part:
    """Whether at least one worker answers."""
    try:
        answers = app.control.ping(timeout=WORKER_TIMEOUT, limit=1)
    except BROKER_FAULTS as error:
        return _out_of_reach(error)
    if not answers:
        return Part(False, gettext_noop("No worker answers; start one: celery -A recsite worker."))
    return Part(True)


def _out_of_reach(error: Exception) -> Part:
    cause = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return Part(False, gettext_noop("The broker cannot be reached: %(cause)s."), cause)


def encoder_part() -> Part:
    """Whether some encoder has registered itself, i.e. its files were found and checked."""
    if EncoderVersion.objects.exists():
        return Part(True)
    return Part(False, "No encoder yet; a worker registers it with the first items.")


def database_part() -> Part:
    """Raises Django's OperationalError where the database is away."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return Part(True)


def catalogs() -> list[CatalogHealth]:
    """Every catalog, in five queries."""
    rows = list(Catalog.objects.order_by("pk"))
    newest = _newest_encoders(rows)
    seen = ItemVector.objects.filter(encoder__in=set(newest.values()))
    vectors = {
        row["item__catalog"]: row["rows"]
        for row in seen.values("item__catalog", "encoder").annotate(rows=Count("pk")).order_by()
        if newest.get(row["item__catalog"]) == row["encoder"]
    }
    items = _counts(Item.objects.values("catalog"))
    loads: dict[int, list[dict[str, Any]]] = {}
    for load in LoadState.objects.order_by("started_at", "pk"):
        loads.setdefault(load.catalog_id, []).append(_load(load))
    return [
        CatalogHealth(
            slug=catalog.slug,
            name=catalog.name,
            items=items.get(catalog.pk, 0),
            vectors=vectors.get(catalog.pk, 0),
            bundle_id=catalog.live_bundle,
            loads=loads.get(catalog.pk, []),
        )
        for catalog in rows
    ]


def _newest_encoders(catalogs: list[Catalog]) -> dict[int, int]:
    """Catalog id → id of the newest encoder that may be its: made by it, named by it, or by none.

    One that a catalog names, with all fields or few of them, is no other catalog's.
    """
    found: dict[int, int] = {}
    for version in EncoderVersion.objects.order_by("pk"):
        for catalog in catalogs:
            if version.catalog_id == catalog.pk or (
                not version.is_learned
                and bool(version.config) == bool(catalog.encoder)
                and catalog.encoder.items() <= version.config.items()
            ):
                found[catalog.pk] = version.pk
    return found


def _counts(grouped: Any) -> dict[int, int]:
    """Catalog id → number of rows."""
    rows: Iterable[dict[str, int]] = grouped.annotate(rows=Count("pk")).order_by()
    return {next(iter(row.values())): row["rows"] for row in rows}


def _load(load: LoadState) -> dict[str, Any]:
    """How far one stage of a load has come."""
    return {
        "stage": load.stage,
        "done": load.done,
        "total": load.total,
        "finished": load.finished_at is not None,
        "message": load.message,
    }
