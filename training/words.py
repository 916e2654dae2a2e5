"""The words of a catalog's texts, and what the language model knows of each by itself."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from catalog.models import Item
from ranking.encoder import config_of
from ranking.item_index import ItemIndex
from ranking.personalizer import NO_TOKEN
from ranking.text_model import load_text_model, load_tokenizer
from ranking.types import FloatArray
from training.encoders import original_of

LENGTH = 12  # tokens of a text: of most titles, all
SIZE = 32  # principal components of the token embeddings


@dataclass(frozen=True)
class Words:
    """Which tokens each item's text begins with, and a vector of each token that is used."""

    rows: NDArray[np.int32]  # (I, LENGTH) rows of `vectors`, NO_TOKEN fills
    vectors: FloatArray  # (V, SIZE)


def texts_of(items: ItemIndex) -> list[str]:
    """The text of each row of `ItemIndex.text_vectors`. (U,)"""
    _, first = np.unique(items.text_codes, return_index=True)
    ids = items.ids[first]
    found = Item.objects.in_bulk(ids.tolist())
    return [found[int(pk)].text for pk in ids]


def words_of(items: ItemIndex) -> Words:
    """The words of all items, by the tokenizer and the token embeddings of their encoder.

    None where the items have no vectors.
    """
    if items.encoder is None:
        nothing = np.full((len(items), LENGTH), NO_TOKEN, dtype=np.int32)
        return Words(nothing, np.zeros((0, SIZE), dtype=np.float32))
    config = config_of(original_of(items.encoder))  # a quantised one has no table of tokens
    tokenizer = load_tokenizer(config)
    tokens: list[list[int]] = tokenizer(
        texts_of(items), add_special_tokens=False, truncation=True, max_length=LENGTH
    )["input_ids"]
    table = np.full((len(tokens), LENGTH), NO_TOKEN, dtype=np.int64)  # (U, LENGTH)
    for place, row in enumerate(tokens):
        table[place, : len(row)] = row
    used, counts = np.unique(table[table != NO_TOKEN], return_counts=True)
    rows = np.where(table == NO_TOKEN, NO_TOKEN, np.searchsorted(used, table))
    model = load_text_model(config, torch.float32)
    weight = model.transformer.get_input_embeddings().weight.detach()
    vectors = principal(weight[torch.from_numpy(used)].numpy(), counts)
    return Words(rows.astype(np.int32)[items.text_codes], vectors)


def principal(vectors: FloatArray, counts: NDArray[np.int64]) -> FloatArray:
    """Vectors (V, D) on their first SIZE principal components, weighted by counts (V,). (V, SIZE)

    Filled with 0 where there are fewer components.
    """
    if len(vectors) == 0:
        return np.zeros((0, SIZE), dtype=np.float32)
    share = counts / counts.sum()
    centred = vectors - share @ vectors
    _, _, axes = np.linalg.svd(centred * np.sqrt(share)[:, None], full_matrices=False)
    found = (centred @ axes[:SIZE].T).astype(np.float32)
    return np.pad(found, ((0, 0), (0, SIZE - found.shape[1])))
