"""--encoder and its fields on the command line: what a catalog's own encoder is."""

from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandParser

from ranking.encoder_files import DTYPES, POOLINGS, EncoderConfig

FIELDS = ("pooling", "query_prefix", "item_prefix", "max_tokens", "dtype", "sha256")


def add_encoder_arguments(parser: CommandParser) -> None:
    """The fields of an EncoderConfig; one that is not said has its default."""
    usual = EncoderConfig("")
    parser.add_argument(
        "--encoder", metavar="MODEL", help="its own encoder: a folder, or a name of Hugging Face"
    )
    parser.add_argument("--pooling", choices=POOLINGS, help=f"default: {usual.pooling}")
    parser.add_argument("--query-prefix", help="put before a query, such as 'query: '")
    parser.add_argument("--item-prefix", help="put before an item's text, such as 'passage: '")
    parser.add_argument("--max-tokens", type=int, help=f"of a text; default: {usual.max_tokens}")
    parser.add_argument("--dtype", choices=DTYPES, help=f"default: {usual.dtype}")
    parser.add_argument("--sha256", help="of its weights: others are refused")


def encoder_told(options: Mapping[str, Any]) -> dict[str, Any]:
    """What was said of an encoder, as `set_encoder` takes it; {} without one."""
    if not options["encoder"]:
        return {}
    told = {name: options[name] for name in FIELDS if options[name] is not None}
    return {"model": options["encoder"]} | told
