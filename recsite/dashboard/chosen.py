"""What a training chose, as meta.json keeps it: who decides, what is dropped, what is read."""

from dataclasses import dataclass

from django.utils.translation import gettext_noop

from ranking.bundle import BundleError, meta_of
from ranking.rankers.leads import Leads
from ranking.state import ALIKE_TEXT, NO_DUPLICATE, SAME_TEXT
from ranking.traits import Traits

RANKER_WORDS = {"gbdt": gettext_noop("trees"), "fm": "FM", "dcn": "DCN"}
DUPLICATES = (  # likeness from which one of two items is dropped, and what that means
    (NO_DUPLICATE, gettext_noop("nothing is dropped")),
    (SAME_TEXT, gettext_noop("of items with the same text the best is shown")),
    (0.0, gettext_noop("of items whose texts are alike the best is shown")),
)


@dataclass(frozen=True)
class Knot:
    """Who decides how much, for people of whom so much is known."""

    known: float  # what their interactions weigh together
    rankers: float
    sources: float
    popular: float
    text: float  # for items that are picked often
    rare_text: float  # for items that hardly anybody picks


@dataclass(frozen=True)
class Chosen:
    """The rankers' shares, the leads beside them, near-duplicates, and what of people is read."""

    rankers: list[tuple[str, float]]  # words, share; those with a share alone
    knots: list[Knot]  # none where the rankers alone decide
    duplicates: str
    attributes: list[str]  # of people, from which something was learned


def chosen_for(bundle_id: str) -> Chosen | None:
    """What a bundle's meta.json says; None if it cannot be read."""
    try:
        told = meta_of(bundle_id).parameters
    except BundleError:
        return None
    shares = told.get("rankers", {}).get("shares", {"gbdt": 1.0})
    leads, likeness = Leads.of(told), told.get("near_duplicate", ALIKE_TEXT)
    knots = [
        Knot(known, 1.0 - sources - popular - text[-1], sources, popular, text[-1], text[0])
        for known, sources, popular, text in zip(
            leads.known, leads.sources, leads.popular, leads.text, strict=True
        )
    ]
    return Chosen(
        [(RANKER_WORDS.get(name, name), share) for name, share in shares.items() if share > 0],
        knots if len(knots) > 1 else [],
        next(words for least, words in DUPLICATES if likeness >= least),
        Traits.read(told["traits"]).attributes if "traits" in told else [],
    )
