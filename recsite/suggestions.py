"""What a search box offers while somebody types: aisles and items whose names hold the words."""

from django.contrib.postgres.search import TrigramWordSimilarity
from django.db import connection, transaction
from django.db.models import Case, Q, Value, When
from django.db.models.functions import Length

from catalog.models import Catalog, Item
from recsite.aisles import Aisle, aisles_of
from recsite.shelves import with_catalog

SHORTEST = 2  # characters, for aisles
SHORTEST_FOR_ITEMS = 3  # characters; the trigram index has no answer for less
MOST_AISLES = 3
MOST_ITEMS = 6
THRESHOLD = "pg_trgm.word_similarity_threshold"
CLOSE_ENOUGH = 0.45  # word similarity that forgives a typing error; PostgreSQL's own is 0.6


def suggest(catalog: Catalog, text: str) -> tuple[list[Aisle], list[Item]]:
    """Aisles, larger ones first, and items, those that begin with the text first."""
    if len(text) < SHORTEST:
        return [], []
    aisles = [
        aisle for aisle in aisles_of(catalog).by_path.values() if text.lower() in aisle.name.lower()
    ]
    aisles.sort(key=lambda aisle: (len(aisle.parents), -aisle.count))
    items = _items(catalog, text) if len(text) >= SHORTEST_FOR_ITEMS else []
    return aisles[:MOST_AISLES], with_catalog(catalog, items)


def _items(catalog: Catalog, text: str) -> list[Item]:
    """Items that hold every word; if there is none, those that come close."""
    sold = Item.objects.filter(catalog=catalog, available=True).defer("body", "search", "words")
    every_word = Q()
    for word in text.split()[:8]:
        every_word &= Q(title__icontains=word)
    begins = Case(When(title__istartswith=text, then=Value(0)), default=Value(1))
    found = list(sold.filter(every_word).order_by(begins, Length("title"), "pk")[:MOST_ITEMS])
    if found:
        return found
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config(%s, %s, true)", [THRESHOLD, str(CLOSE_ENOUGH)])
        close = sold.filter(title__trigram_word_similar=text)
        return list(close.order_by(TrigramWordSimilarity(text, "title").desc(), "pk")[:MOST_ITEMS])
