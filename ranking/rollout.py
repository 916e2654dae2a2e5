"""Which bundle answers whom while a challenger is being rolled out, and who steps in if it fails.

The catalog's row, which each request reads anyway, names the challenger and its share. A person
stays with the same model from request to request and from process to process; while the share
grows, those who have met the challenger keep it. Requests of nobody we know are the live bundle's.
"""

import hashlib
import logging
from collections.abc import Callable

from django.db import DatabaseError

from catalog.models import Catalog, EncoderVersion
from ranking.serving import challenging, current
from ranking.state import RankingState
from ranking.types import Slate

logger = logging.getLogger(__name__)

Way = Callable[[RankingState, EncoderVersion | None], Slate]  # from a state to an answer


def answered(catalog: Catalog, user_id: int | None, path: Way) -> Slate:
    """Answer from the bundle whose turn it is.

    If the challenger's path raises and the live one's doesn't, the person gets the live one's
    answer, and the roll-out ends for everybody at once: the row says so.
    """
    state, encoder = current(catalog)
    if not meets_challenger(catalog, user_id):
        return path(state, encoder)
    tried, its_encoder = challenging(catalog)
    if tried.bundle_id != catalog.challenger_bundle:  # not loaded yet, or refused
        return path(state, encoder)
    try:
        return path(tried, its_encoder)
    except DatabaseError:  # no bundle's fault
        raise
    except Exception as fault:
        slate = path(state, encoder)
        logger.exception("Bundle %s failed; %s answers alone.", tried.bundle_id, state.bundle_id)
        told = f"An answer of it failed: {type(fault).__name__}: {fault}"[:500]
        catalog.withdraw_challenger(tried.bundle_id, told)
        return slate


def meets_challenger(catalog: Catalog, user_id: int | None) -> bool:
    """Whether this person is in the challenger's share of its catalog."""
    if not catalog.challenger_share or user_id is None:
        return False
    return _draw(f"{catalog.challenger_bundle}:{user_id}") < catalog.challenger_share / 100


def _draw(text: str) -> float:
    """A number in [0, 1) that is drawn by chance, but always the same for the same text."""
    first = hashlib.sha256(text.encode()).digest()[:8]
    return int.from_bytes(first) / 2**64
