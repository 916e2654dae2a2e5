"""Keep the items' vectors up to date: see what is new or changed, queue a run that encodes it.

The current encoder is the live model's own, where it has learned one; else the catalog's, or the
one of the settings.
Nothing here imports torch, so which one that is is read from the last run that encoded: it notes
the settings that it worked under and the digest of the encoder that it loaded.
"""

from datetime import timedelta

from django.conf import settings
from django.core.cache import cache
from django.db.models.functions import Now

from catalog.models import Catalog, EncoderVersion, User
from training.models import RunState, Schedule, TrainingRun, TrainingRunQuerySet
from training.registry import encoder_of_live
from training.runs import create_run

PAUSE_AFTER_FAILURE = timedelta(minutes=5)  # also after a cancel: somebody wanted it to stop
LOOK_AGAIN = 600  # seconds until a catalog that had nothing to encode is looked at anyway


def refresh_if_needed(catalog: Catalog) -> TrainingRun | None:
    """Queue an encode run if there is work for one and none waits, runs or has just failed."""
    seen = f"encoded-{catalog.pk}"
    state = (catalog.items_version, catalog.live_bundle, encoder_settings(catalog))
    if cache.get(seen) == state:
        return None  # nothing has changed since nothing was to be done
    earlier = _encode_runs(catalog)
    stopped = earlier.filter(state__in=[RunState.FAILED, RunState.CANCELLED])
    just_stopped = stopped.filter(ended_at__gt=Now() - PAUSE_AFTER_FAILURE)
    if earlier.not_over().exists() or just_stopped.exists():
        return None
    if not has_unencoded_items(catalog):
        cache.set(seen, state, LOOK_AGAIN)
        return None
    return _create(catalog)


def refresh_now(
    catalog: Catalog, user: User | None = None, schedule: Schedule | None = None
) -> TrainingRun:
    """Queue an encode run because somebody asked; or return the one that is going on."""
    going_on = _encode_runs(catalog).going_on().order_by("created_at").first()
    return going_on or _create(catalog, user, schedule)


def has_unencoded_items(catalog: Catalog) -> bool:
    """Whether an item has no vector by the present encoder, or one of an older wording."""
    encoder = current_encoder(catalog)
    if encoder is None:
        return catalog.items.exists()
    return catalog.items.without_vector(encoder).exists()


def current_encoder(catalog: Catalog) -> EncoderVersion | None:
    """The encoder whose vectors are served; None if it was never used."""
    if served := encoder_of_live(catalog):
        return served
    last = _encode_runs(catalog).filter(state=RunState.SUCCEEDED).order_by("-ended_at").first()
    if last is None or last.parameters.get("encoder") != encoder_settings(catalog):
        return None
    return EncoderVersion.objects.filter(digest=last.environment.get("encoder", "")).first()


def encoder_settings(catalog: Catalog) -> dict[str, str | int]:
    """What decides which vectors items get: the catalog's own encoder, else the settings."""
    return catalog.encoder or {
        "model": settings.ENCODER_MODEL,
        "pooling": settings.ENCODER_POOLING,
        "query_prefix": settings.ENCODER_QUERY_PREFIX,
        "item_prefix": settings.ENCODER_ITEM_PREFIX,
        "max_tokens": settings.ENCODER_MAX_TOKENS,
        "dtype": settings.ENCODER_DTYPE,
    }


def _encode_runs(catalog: Catalog) -> TrainingRunQuerySet:
    return TrainingRun.objects.filter(catalog=catalog, kind=TrainingRun.Kind.ENCODE)


def _create(
    catalog: Catalog, user: User | None = None, schedule: Schedule | None = None
) -> TrainingRun:
    parameters = {"encoder": encoder_settings(catalog)}
    return create_run(catalog, TrainingRun.Kind.ENCODE, parameters, user, schedule=schedule)
