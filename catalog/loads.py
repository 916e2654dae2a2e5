"""Tell everybody how far a long load has come: the terminal, the health page, the dashboard."""

from django.utils import timezone
from django.utils.translation import gettext_noop

from catalog.models import Catalog, LoadState

# What stages are called in rows, for those who translate; pages show the translation.
STAGES = (gettext_noop("items"), gettext_noop("offers"), gettext_noop("interactions"))


def begin(catalog: Catalog, stage: str, total: int | None) -> LoadState:
    """The row of this stage, started anew."""
    load, _ = LoadState.objects.update_or_create(
        catalog=catalog,
        stage=stage,
        defaults={
            "done": 0,
            "total": total,
            "message": "",
            "started_at": timezone.now(),
            "finished_at": None,
        },
    )
    return load


def advance(load: LoadState, done: int) -> None:
    """So many rows are through."""
    load.done = done
    load.save(update_fields=["done", "updated_at"])


def finish(load: LoadState, done: int, message: str) -> None:
    """The stage is over; all of it counts as done."""
    load.done = done
    load.total = done
    load.message = message
    load.finished_at = timezone.now()
    load.save()
