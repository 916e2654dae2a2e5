"""Made-up readers of real articles, always the same ones. Every row they leave says `is_simulated`.

What a reader likes is a taste for sections and a few words, weighed by counting (tf-idf). It never
comes from the language model that the ranker uses: a ranker that is measured on clicks made from
its own vectors would only find itself again. A reader comes for a session, sees a page of recent
articles in an editor's order, looks less and less far down, and opens what pleases.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SEED = 1926
DAY = 24 * 3600  # seconds
DAYS = 57  # of sessions; the first days have too few articles to choose from
SESSIONS = 9.0  # a reader, on average
PAGE = 24  # articles on the page that a session looks at
FRESH_DAYS = 4.0  # articles older than this are on no front page
WORDS_A_READER = 5
SECTION_TASTE = 0.5  # Dirichlet's α: small = readers with one favourite
WORD_WEIGHT = 2.5
POSITION_DECAY = 0.6  # the place k is looked at with probability (k + 1)^-0.6
READ_SECONDS = 75.0  # a reading that pleases, median

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Reader:
    """One made-up person."""

    number: int  # from 1
    favourite_section: str


@dataclass(frozen=True)
class Deed:
    """One thing that a reader did."""

    reader: int  # number
    article: int  # place in the list
    type: str
    seconds_ago: int
    value: float | None  # seconds of reading


@dataclass(frozen=True)
class _Paper:
    """The articles as readers see them."""

    sections: list[str]  # (S,) names
    section: IntArray  # (N,) of each article
    age: FloatArray  # (N,) seconds ago
    prominence: FloatArray  # (N,) how high the editor puts it
    words: list[str]  # (V,) those that can be somebody's interest
    weight: FloatArray  # (N, V) tf-idf, each row of unit length
    word_share: FloatArray  # (S, V) how a section's words are spread


def simulate(
    texts: Sequence[str], sections: Sequence[str], ages: IntArray, *, readers: int
) -> tuple[list[Reader], list[Deed]]:
    """Readers, and what they did, oldest first.

    Parameters
    ----------
    texts, sections
        Of each article.
    ages
        (N,) seconds since each was published.
    readers
        How many; the first of many are the same as those of few.
    """
    paper = _paper(texts, sections, ages)
    people: list[Reader] = []
    deeds: list[Deed] = []
    for number in range(1, readers + 1):
        rng = np.random.default_rng([SEED, number])
        taste = rng.dirichlet(np.full(len(paper.sections), SECTION_TASTE))  # (S,)
        people.append(Reader(number, paper.sections[int(taste.argmax())]))
        deeds += _life(number, _pleasure(paper, taste, rng), paper, rng)
    deeds.sort(key=lambda deed: (-deed.seconds_ago, deed.reader, deed.article, deed.type))
    return people, deeds


def _paper(texts: Sequence[str], sections: Sequence[str], ages: IntArray) -> _Paper:
    names = sorted(set(sections))
    section = np.array([names.index(name) for name in sections], dtype=np.int64)
    words, weight = _count(texts)
    share = np.stack([weight[section == place].sum(axis=0) for place in range(len(names))])
    share = (share + 1e-9) / (share + 1e-9).sum(axis=1, keepdims=True)  # (S, V)
    prominence = np.random.default_rng(SEED).normal(size=len(texts))
    return _Paper(names, section, ages.astype(np.float64), prominence, words, weight, share)


def _count(texts: Sequence[str]) -> tuple[list[str], FloatArray]:
    """Words that are neither rare nor everywhere, and their tf-idf in each text: (V,), (N, V)."""
    counts = [Counter(re.findall(r"[a-z]{4,}", text.lower())) for text in texts]
    spread = Counter(word for count in counts for word in count)
    most = max(2, len(texts) // 20)
    least = 2 if len(texts) < 200 else 8
    words = sorted(word for word, number in spread.items() if least <= number <= most)
    places = {word: place for place, word in enumerate(words)}
    weight = np.zeros((len(texts), len(words)))
    for row, count in enumerate(counts):
        for word, number in count.items():
            if word in places:
                weight[row, places[word]] = (1 + math.log(number)) * math.log(
                    len(texts) / spread[word]
                )
    length = np.linalg.norm(weight, axis=1, keepdims=True)
    return words, weight / np.maximum(length, 1e-9)


def _pleasure(paper: _Paper, taste: FloatArray, rng: np.random.Generator) -> FloatArray:
    """(N,) how much each article pleases this reader; about 0 on average, log-odds."""
    likes_section = np.log(taste[paper.section] * len(paper.sections) + 0.05)  # (N,)
    if not paper.words:
        return likes_section
    share = taste @ paper.word_share  # (V,)
    interests = np.unique(rng.choice(len(paper.words), WORDS_A_READER, p=share / share.sum()))
    likes_words: FloatArray = paper.weight[:, interests].sum(axis=1)  # (N,)
    return likes_section + WORD_WEIGHT * likes_words


def _life(number: int, pleasure: FloatArray, paper: _Paper, rng: np.random.Generator) -> list[Deed]:
    """All sessions of one reader."""
    visits = 1 + rng.poisson(rng.gamma(2.0, SESSIONS / 2.0))
    starts = np.sort(rng.random(visits) * DAYS * DAY)[::-1]  # seconds ago, oldest first
    opened: set[int] = set()
    deeds: list[Deed] = []
    for start in starts.tolist():
        deeds += _session(number, start, pleasure, paper, opened, rng)
    return deeds


def _session(
    number: int,
    start: float,
    pleasure: FloatArray,
    paper: _Paper,
    opened: set[int],
    rng: np.random.Generator,
) -> list[Deed]:
    """One visit: look at a page, open what pleases, read, like or hide."""
    is_out = (paper.age > start) & (paper.age < start + FRESH_DAYS * DAY)
    candidates = np.flatnonzero(is_out)
    staleness = (paper.age[candidates] - start) / DAY
    order = np.argsort(staleness - 0.7 * paper.prominence[candidates], kind="stable")
    page = candidates[order][:PAGE]
    looks = rng.random(len(page)) < (1 + np.arange(len(page))) ** -POSITION_DECAY
    opens = rng.random(len(page)) < 1 / (1 + np.exp(-(pleasure[page] - 0.3)))
    moods = rng.random(len(page))
    dwells = rng.lognormal(math.log(READ_SECONDS), 0.6, size=len(page))
    deeds: list[Deed] = []
    clock = start
    for place in np.flatnonzero(looks).tolist():
        article = int(page[place])
        clock -= 5  # seconds of looking
        if article in opened:
            continue
        pleases = 1 / (1 + math.exp(-float(pleasure[article])))  # 0 … 1
        if opens[place]:
            dwell = max(3.0, round(dwells[place] * (0.2 + pleases), 1))
            kinds = [("click", 0.0, None), ("read", dwell, dwell)]
            if moods[place] < 0.18 * pleases:
                kinds.append(("like", dwell + 2, None))
            opened.add(article)
        elif moods[place] < 0.04 * (1 - pleases):
            dwell, kinds = 0.0, [("hide", 0.0, None)]
        else:
            continue
        deeds += [
            Deed(number, article, kind, int(clock - after), value)
            for kind, after, value in kinds
            if clock - after > 0
        ]
        clock -= dwell
    return deeds
