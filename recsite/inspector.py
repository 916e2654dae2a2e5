"""Why these? the whole path of one slate, read from its log."""

import uuid
from collections.abc import Container
from dataclasses import dataclass

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from catalog.models import Item, SlateLog, User
from recsite.account import SiteRequest

# How a log names stages, and what each is for.
STAGE_WORDS = {
    gettext_noop("context"): gettext_noop("Who asks, and what they did a moment ago"),
    gettext_noop("query"): gettext_noop("What the words find, by letter and by meaning"),
    gettext_noop("allowed"): gettext_noop("Sold out, hidden and already seen ones go"),
    gettext_noop("sources"): gettext_noop("Candidates from every source"),
    gettext_noop("ranker"): gettext_noop("How likely each one is to please"),
    gettext_noop("near-duplicates"): gettext_noop("Of things that say the same, the best stays"),
    gettext_noop("personal model"): gettext_noop("The head in this person’s own order"),
    gettext_noop("push"): gettext_noop("Boosts, burials and the popularity dial move items"),
    gettext_noop("diversity"): gettext_noop("Variety among neighbours"),
    gettext_noop("pins"): gettext_noop("Pinned items take their places"),
    gettext_noop("exploration"): gettext_noop(
        "Some places go by chance to items that few people pick yet"
    ),
}
# What a log counts inside of the stages; sources and filters that are not here keep their names.
COUNTED = (
    gettext_noop("interactions"),
    gettext_noop("unavailable"),
    gettext_noop("not published yet"),
    gettext_noop("other category"),
    gettext_noop("other than the filter"),
    gettext_noop("hidden"),
    gettext_noop("seen"),
    gettext_noop("excluded"),
    gettext_noop("the item itself"),
    gettext_noop("given by chance"),
)
# Where the demos show slates; a surface that a program names itself is shown as it is.
SURFACES = (
    gettext_noop("shop home"),
    gettext_noop("shop category"),
    gettext_noop("shop search"),
    gettext_noop("shop because"),
    gettext_noop("shop staples"),
    gettext_noop("shop popular"),
    gettext_noop("shop together"),
    gettext_noop("shop similar"),
    gettext_noop("news top"),
    gettext_noop("news home"),
    gettext_noop("news latest"),
    gettext_noop("news section"),
    gettext_noop("news related"),
    gettext_noop("news feed"),
    gettext_noop("news search"),
)
RETRIEVAL = ("sources", "query")  # the stages that find candidates


@dataclass(frozen=True)
class StageLine:
    """One stage as the page shows it."""

    name: str  # as the log has it
    label: str
    words: str  # what the stage is for
    entered: int
    left: int
    milliseconds: float
    bar_start: float  # percent of the whole time, for the bar
    bar_width: float
    detail: list[tuple[str, int]]  # a source's or filter's own counts


@dataclass(frozen=True)
class PlaceLine:
    """One place of the slate as the page shows it."""

    position: int
    item: Item | None  # None: gone since
    score: float
    propensity: float
    sources: list[str]
    was_seen: bool


def may_inspect(slate: SlateLog, person: User, user_is_staff: bool) -> bool:
    """Staff, the slate's own person, or anybody who holds the id of a slate of nobody."""
    return user_is_staff or slate.user_id is None or slate.user_id == person.pk


@never_cache
@require_GET
def slate(request: SiteRequest, slate_id: uuid.UUID) -> HttpResponse:
    """A page of its own, or the inside of the drawer when a script asks."""
    row = get_object_or_404(SlateLog.objects.select_related("catalog"), pk=slate_id)
    is_staff = request.user.is_authenticated and request.user.is_staff
    if not may_inspect(row, request.person, is_staff):
        raise Http404("No such slate of yours.")
    lines = stage_lines(row)
    context = {
        "slate": row,
        "surface": _known(row.surface.replace("-", " "), SURFACES),
        "stages": lines,
        "candidates": next((line.left for line in lines if line.name in RETRIEVAL), 0),
        "total_ms": sum(line.milliseconds for line in lines),
        "places": place_lines(row),
        "source_counts": _source_counts(row),
    }
    return render(request, "_inspector.html" if request.htmx else "inspector.html", context)


def stage_lines(row: SlateLog) -> list[StageLine]:
    """The stages in order, each with its share of the whole time."""
    stages = row.trace.get("stages", [])
    whole = sum(stage.get("milliseconds", 0.0) for stage in stages) or 1.0  # ms
    lines: list[StageLine] = []
    before = 0.0  # ms
    for stage in stages:
        took = float(stage.get("milliseconds", 0.0))
        name = str(stage.get("name", "")).replace("_", " ")
        lines.append(
            StageLine(
                name=name,
                label=_known(name, STAGE_WORDS),
                words=_(STAGE_WORDS[name]) if name in STAGE_WORDS else "",
                entered=int(stage.get("entered", 0)),
                left=int(stage.get("left", 0)),
                milliseconds=took,
                bar_start=round(100 * before / whole, 2),
                bar_width=round(max(100 * took / whole, 0.6), 2),
                detail=sorted(
                    (_known(counted.replace("_", " "), COUNTED), count)
                    for counted, count in (stage.get("detail") or {}).items()
                ),
            )
        )
        before += took
    return lines


def _known(name: str, names: Container[str]) -> str:
    """A name of the log in the page's language, if it is one of these."""
    return _(name) if name in names else name


def place_lines(row: SlateLog) -> list[PlaceLine]:
    """The places of the slate, first to last."""
    items = Item.objects.in_bulk(row.item_ids)
    seen = set(row.seen_positions)
    columns = zip(row.item_ids, row.scores, row.propensities, row.sources, strict=True)
    return [
        PlaceLine(
            position=position + 1,
            item=items.get(item_id),
            score=score,
            propensity=propensity,
            sources=[name.replace("_", " ") for name in sources.split("+") if name],
            was_seen=position in seen,
        )
        for position, (item_id, score, propensity, sources) in enumerate(columns)
    ]


def _source_counts(row: SlateLog) -> list[tuple[str, int]]:
    """How many items of the slate each source had found, most first."""
    counts: dict[str, int] = {}
    for joined in row.sources:
        for name in joined.split("+"):
            if name:
                counts[name.replace("_", " ")] = counts.get(name.replace("_", " "), 0) + 1
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
