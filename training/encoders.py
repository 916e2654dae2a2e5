"""Which encoder reads a catalog's items: the configured one, or one that the catalog learned."""

from catalog.models import Catalog, EncoderVersion
from ranking.encoder import load_encoder, register_version
from training.errors import TrainingFault
from training.registry import live_encoder

CONFIGURED = "configured"  # the encoder of the settings, whatever is live
FROM_FEEDBACK = ("full", "lora", "projection")  # ways of learning that read interactions


def choose_encoder(catalog: Catalog, wanted: str = "") -> EncoderVersion:
    """The encoder that is meant: by default the live model's; loadable when it is returned.

    Parameters
    ----------
    wanted
        '' for that of the live model, 'configured' for that of the settings, else how the digest of
        a learned one begins.

    Raises
    ------
    TrainingFault
        There is no such encoder, or several.
    RankingFault
        Its files are gone or were changed.
    """
    version = learned_encoder(catalog, wanted) if wanted else live_encoder(catalog)
    if version is None:
        return register_version(load_encoder())
    load_encoder(version)
    return version


def refuse_leak(version: EncoderVersion, split: str) -> None:
    """Refuse an encoder that learned from picks that this split asks for.

    Raises
    ------
    TrainingFault
        It, or one that it was made from, was fine-tuned on another split.
    """
    ancestor: EncoderVersion | None = version
    while ancestor is not None:
        known = ancestor.metrics.get("split")
        if ancestor.way in FROM_FEEDBACK and known != split:
            raise TrainingFault(
                f"{ancestor} was fine-tuned on the split {known}, so it knows picks that the split "
                f"{split} asks for. Fine-tune one with --param split={split}."
            )
        ancestor = ancestor.parent


def learned_encoder(catalog: Catalog, wanted: str) -> EncoderVersion | None:
    """The learned encoder whose digest begins like this; None for the configured one."""
    if wanted == CONFIGURED:
        return None
    found = list(catalog.encoders.filter(digest__startswith=wanted)[:2])
    if len(found) != 1:
        known = ", ".join(version.digest[:8] for version in catalog.encoders.order_by("-pk")[:5])
        raise TrainingFault(
            f"{'No' if not found else 'More than one'} learned encoder of {catalog.slug} begins "
            f"with {wanted!r}; there are: {known or 'none'}. Say one, or {CONFIGURED}."
        )
    return found[0]
