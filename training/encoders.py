"""Which encoder reads a catalog's items: the configured one, or one that the catalog made."""

from collections.abc import Iterator
from datetime import UTC, datetime

from catalog.models import Catalog, EncoderVersion
from ranking.device import best_device
from ranking.encoder import load_encoder, register_version
from training.errors import TrainingFault
from training.handle import RunHandle
from training.registry import QUANTISED, encoder_of_live, live_encoder, quantised
from training.splits import Moments

CONFIGURED = "configured"  # the encoder of the catalog or the settings, whatever is live
LEARNED_UNTIL = "learned_until"  # in an encoder's metrics: seconds since the epoch
FROM_FEEDBACK = ("full", "lora", "projection")  # ways of learning that read interactions


def choose_encoder(catalog: Catalog, wanted: str = "") -> EncoderVersion:
    """The encoder that is meant: by default the one for the next model; loadable when returned.

    Parameters
    ----------
    wanted
        '' for that of the live model, on a CPU as the last quantisation left it, else in full;
        'configured' for that of the catalog or the settings, else how the digest of a learned one
        begins.

    Raises
    ------
    TrainingFault
        There is no such encoder, or several.
    RankingFault
        Its files are gone or were changed.
    """
    if not wanted:
        version = original_of(live_encoder(catalog) or register_version(catalog))
        if best_device().type == "cpu":
            version = quantised(version, catalog) or version
    else:
        version = learned_encoder(catalog, wanted) or register_version(catalog)
    load_encoder(version)
    return version


def encoder_of_run(handle: RunHandle, wanted: str = "") -> EncoderVersion:
    """The encoder that a run reads by (`choose_encoder`); the one it began with if it is resumed.

    Which one '' and 'configured' mean may change between two attempts.
    """
    if wanted not in {"", CONFIGURED}:
        return choose_encoder(handle.catalog, wanted)
    fact = f"{wanted or 'default'} encoder"
    if known := handle.run.environment.get(fact):
        return encoder_named(known)
    version = choose_encoder(handle.catalog, wanted)
    handle.record(**{fact: version.digest})
    return version


def encoder_named(digest: str) -> EncoderVersion:
    """The encoder that an earlier attempt, or another process of a run, reads by; loadable.

    Raises
    ------
    TrainingFault
        It was forgotten meanwhile.
    RankingFault
        Its files are gone or were changed.
    """
    version = EncoderVersion.objects.filter(digest=digest).first()
    if version is None:
        raise TrainingFault(f"The encoder {digest[:12]} of this run is gone: start a new run.")
    load_encoder(version)
    return version


def served_encoder(catalog: Catalog) -> EncoderVersion:
    """The encoder whose vectors the site reads now: the live model's, else the configured one."""
    return encoder_of_live(catalog) or register_version(catalog)


def original_of(version: EncoderVersion) -> EncoderVersion:
    """What this one was quantised from; itself where it is none of those."""
    return version.parent if version.way in QUANTISED and version.parent else version


def start_of_training(handle: RunHandle, wanted: str) -> EncoderVersion:
    """The encoder that a training starts from; the configured one where none is said.

    Raises
    ------
    TrainingFault
        It is a quantised one, whose weights cannot learn.
    """
    version = encoder_of_run(handle, wanted or CONFIGURED)
    if version.way in QUANTISED:
        start = original_of(version)
        told = start.digest[:8] if start.is_learned else CONFIGURED
        raise TrainingFault(
            f"{version} is quantised and cannot learn: start from its original (encoder={told}), "
            "then quantise what comes of it."
        )
    return version


def refuse_leak(version: EncoderVersion, split: str) -> None:
    """Refuse an encoder that learned from picks that this split asks for.

    Raises
    ------
    TrainingFault
        It, or one that it was made from, was fine-tuned on another split.
    """
    for ancestor in fine_tuned(version):
        known = ancestor.metrics.get("split")
        if known != split:
            raise TrainingFault(
                f"{ancestor} was fine-tuned on the split {known}, so it knows picks that the split "
                f"{split} asks for. Fine-tune one with --param split={split}."
            )


def refuse_later_picks(version: EncoderVersion, moments: Moments | None) -> None:
    """Refuse an encoder that learned from picks of later than where a test by time begins.

    That happens where a test lies further back than the one that it was fine-tuned for: in a back
    test, or after newer interactions were deleted. None: no split by time.

    Raises
    ------
    TrainingFault
    """
    if moments is None:
        return
    for ancestor in fine_tuned(version):
        until = ancestor.metrics.get(LEARNED_UNTIL, 0.0)
        if until > moments.test_start:
            known, begin = (
                datetime.fromtimestamp(moment, UTC).strftime("%-d %b %Y %H:%M")
                for moment in (until, moments.test_start)
            )
            raise TrainingFault(
                f"{ancestor} has learned from picks until {known}, and the test begins at {begin}: "
                f"take the encoder {CONFIGURED}, or fine-tune one anew."
            )


def fine_tuned(version: EncoderVersion) -> Iterator[EncoderVersion]:
    """Of this encoder and those that it was made from: which learned from interactions."""
    ancestor: EncoderVersion | None = version
    while ancestor is not None:
        if ancestor.way in FROM_FEEDBACK:
            yield ancestor
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
