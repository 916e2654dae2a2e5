"""Why these? the whole path of one slate, read from its log."""

import uuid
from dataclasses import dataclass

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from catalog.models import Item, SlateLog, User
from recsite.account import SiteRequest

STAGE_WORDS = {
    "context": "Who asks, and what they did a moment ago",
    "query": "What the words find, by letter and by meaning",
    "allowed": "Sold out, hidden and already seen ones go",
    "sources": "Candidates from every source",
    "ranker": "How likely each one is to please",
    "near-duplicates": "Of things that say the same, the best stays",
    "personal model": "The head in this person’s own order",
    "push": "Boosts, burials and the popularity dial move items",
    "diversity": "Variety among neighbours",
    "pins": "Pinned items take their places",
    "exploration": "Some places go by chance to items that few people pick yet",
}
RETRIEVAL = ("sources", "query")  # the stages that find candidates


@dataclass(frozen=True)
class StageLine:
    """One stage as the page shows it."""

    name: str
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
        "surface": row.surface.replace("-", " "),
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
        lines.append(
            StageLine(
                name=str(stage.get("name", "")).replace("_", " "),
                words=STAGE_WORDS.get(str(stage.get("name", "")), ""),
                entered=int(stage.get("entered", 0)),
                left=int(stage.get("left", 0)),
                milliseconds=took,
                bar_start=round(100 * before / whole, 2),
                bar_width=round(max(100 * took / whole, 0.6), 2),
                detail=sorted(
                    (name.replace("_", " "), count)
                    for name, count in (stage.get("detail") or {}).items()
                ),
            )
        )
        before += took
    return lines


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
