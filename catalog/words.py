"""The words of Chinese texts, found in Python: PostgreSQL makes one word of a whole phrase.

rjieba is jieba in Rust (a dictionary, and a hidden Markov model for what is not in it). Texts are
cut into words, the words within these, and single characters; a query into words alone, so that
each of a query's words is found also inside a longer one.
"""

import unicodedata

import rjieba
from django.db import connection
from django.db.models import F

from catalog.models import Catalog

BATCH = 1_000  # items
MOST = 50_000  # characters of a text; PostgreSQL keeps at most 1 MB of words an item
UPDATE_SQL = """
UPDATE catalog_item AS item
SET words = setweight(to_tsvector('simple', found.title), 'A')
        || setweight(to_tsvector('simple', found.category), 'B')
        || setweight(to_tsvector('simple', found.body), 'C'),
    words_digest = found.digest
FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[], %s::text[])
    AS found (id, title, category, body, digest)
WHERE item.id = found.id AND item.text_digest = found.digest
"""


def words_of(text: str) -> str:
    """All words of a text, those inside others and single characters too, between spaces."""
    found: list[str] = []
    for word in rjieba.cut_for_search(_plain(text)):
        found.append(word)
        if len(word) > 1 and not word.isascii():
            found.extend(word)
    return " ".join(found)


def query_words(text: str) -> str:
    """The words of a query, between spaces."""
    return " ".join(rjieba.cut(_plain(text)))


def _plain(text: str) -> str:
    """Full-width letters as plain ones."""
    return unicodedata.normalize("NFKC", text[:MOST])


def index_words(catalog: Catalog) -> int:
    """Find the words of a Chinese catalog's items that are new or changed; how many these were.

    Whoever writes items calls it in the same transaction; for other languages it does nothing.
    """
    if not catalog.is_chinese:
        return 0
    old = catalog.items.exclude(words_digest=F("text_digest"))
    rows = old.order_by("pk").values_list("pk", "title", "category", "body", "text_digest")
    count = 0
    while found := list(rows[:BATCH]):
        columns = list(zip(*found, strict=True))
        texts = [[words_of(text) for text in column] for column in columns[1:4]]
        with connection.cursor() as cursor:
            cursor.execute(UPDATE_SQL, [list(columns[0]), *texts, list(columns[4])])
            if cursor.rowcount == 0:  # all of them were changed meanwhile; whoever did it is next
                break
        count += len(found)
    return count
