"""Without a trained ranker: reciprocal rank fusion of the sources (Cormack et al. 2009)."""

import numpy as np

from ranking.types import Candidates, FloatArray

RANK_OFFSET = 20.0  # how quickly lower ranks fade; 60 in the paper, smaller for short lists
WEIGHTS = {
    "similar": 1.0,
    "covisit": 0.4,
    "markov": 0.4,
    "ease": 0.4,
    "tower": 0.8,
    "staples": 1.2,
    "category": 0.5,
    "popular": 0.4,
    "fresh": 0.3,
}


def fuse(candidates: Candidates) -> FloatArray:
    """Sum over the sources of weight / (offset + rank). (N,)"""
    weights = np.array([WEIGHTS[name] for name in candidates.source_names], dtype=np.float32)
    terms = weights / (RANK_OFFSET + candidates.source_ranks)  # (N, S), NaN where not found
    return np.asarray(np.nansum(terms, axis=1), dtype=np.float32)
