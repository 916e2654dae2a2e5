"""A ranking that needs no model: for tests of pages and API, which care how it is asked."""

from dataclasses import dataclass, field

import pytest
from django.db.models import QuerySet

from catalog.events import log_slate
from catalog.models import Catalog, Item, SlateLog
from ranking import pipeline
from ranking.types import Query, Slate, SlateItem


@dataclass
class RankingStub:
    """Answers in the order of the external ids, and remembers what it was asked."""

    queries: list[Query] = field(default_factory=list)
    reason: str = "Because it is first in the alphabet"

    def recommend(self, query: Query) -> Slate:
        self.queries.append(query)
        return self._answer(query, Item.objects.all())

    def search(self, query: Query) -> Slate:
        self.queries.append(query)
        return self._answer(query, Item.objects.filter(title__icontains=query.text))

    def _answer(self, query: Query, found: QuerySet[Item]) -> Slate:
        catalog = Catalog.objects.get(slug=query.catalog_slug)
        found = found.filter(catalog=catalog, available=True).exclude(pk__in=query.exclude)
        if query.category:
            found = found & Item.objects.in_category(query.category)
        if query.anchor_item_id:
            found = found.exclude(pk=query.anchor_item_id)
        ids = list(found.order_by("external_id").values_list("pk", flat=True)[: query.size])
        row = SlateLog(
            catalog=catalog,
            user_id=query.user_id,
            surface=query.surface,
            query_text=query.text,
            item_ids=ids,
            scores=[1.0 / (place + 1) for place in range(len(ids))],
            propensities=[1.0] * len(ids),
            sources=["alphabet"] * len(ids),
        )
        log_slate(row)
        items = tuple(
            SlateItem(pk, place, 1.0 / (place + 1), 1.0, ("alphabet",), self.reason)
            for place, pk in enumerate(ids)
        )
        return Slate(row.pk, items, "", (), total=found.count())


def install(monkeypatch: pytest.MonkeyPatch) -> RankingStub:
    """Put it in the pipeline's place."""
    stub = RankingStub()
    monkeypatch.setattr(pipeline, "recommend", stub.recommend)
    monkeypatch.setattr(pipeline, "search", stub.search)
    return stub
