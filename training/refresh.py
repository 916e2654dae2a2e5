"""Keep the items' vectors up to date: see what is new or changed, queue a run that encodes it."""

from datetime import timedelta

from django.core.cache import cache
from django.db.models.functions import Now

from catalog.models import Catalog, EncoderVersion, User
from training.models import RunState, TrainingRun
from training.runs import create_run

PAUSE_AFTER_FAILURE = timedelta(minutes=5)  # also after a cancel: somebody wanted it to stop
LOOK_AGAIN = 600  # seconds until a catalog that had nothing to encode is looked at anyway


def refresh_if_needed(catalog: Catalog) -> TrainingRun | None:
    """Queue an encode run if there is work for one and none waits, runs or has just failed."""
    seen = f"encoded-{catalog.pk}"
    if cache.get(seen) == catalog.items_version:
        return None  # nothing has changed since nothing was to be done
    earlier = TrainingRun.objects.filter(catalog=catalog, kind=TrainingRun.Kind.ENCODE)
    stopped = earlier.filter(state__in=[RunState.FAILED, RunState.CANCELLED])
    if (
        earlier.going_on().exists()
        or stopped.filter(ended_at__gt=Now() - PAUSE_AFTER_FAILURE).exists()
    ):
        return None
    if not has_unencoded_items(catalog):
        cache.set(seen, catalog.items_version, LOOK_AGAIN)
        return None
    return create_run(catalog, TrainingRun.Kind.ENCODE)


def refresh_now(catalog: Catalog, user: User | None = None) -> TrainingRun:
    """Queue an encode run because somebody asked; or return the one that is going on."""
    earlier = TrainingRun.objects.filter(catalog=catalog, kind=TrainingRun.Kind.ENCODE)
    going_on = earlier.going_on().order_by("created_at").first()
    return going_on or create_run(catalog, TrainingRun.Kind.ENCODE, user=user)


def has_unencoded_items(catalog: Catalog) -> bool:
    """Whether an item has no vector, or one of an older wording, by the encoder used last."""
    encoder = EncoderVersion.objects.order_by("-created_at").first()
    if encoder is None:
        return catalog.items.exists()
    return catalog.items.without_vector(encoder).exists()
