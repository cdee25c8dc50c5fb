"""Tokens are counted as CLIP counts them where its vocabulary is, and estimated elsewhere."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Regex, Tokenizer
from tokenizers.models import BPE
from tokenizers.normalizers import NFC, Lowercase, Replace, Sequence
from tokenizers.pre_tokenizers import ByteLevel, Split
from tokenizers.pre_tokenizers import Sequence as Steps
from tokenizers.trainers import BpeTrainer

from imgopen_nb.datasets.tokens import REPOSITORY, estimated, token_counter

from ..conftest import often

# Captions, and the number of their tokens in CLIP's own vocabulary.
COUNTED = (
    ("a close-up of a brown tabby cat sitting on a grey sofa next to a red cushion, looking at the "
     "camera", 24),
    ("ohwx woman, long hair, blue eyes, white shirt, looking at viewer, smile, outdoors, tree, "
     "sky, depth of field", 27),
    ("1girl, solo, long_hair, looking_at_viewer, blush, smile, bangs, school_uniform, "
     "black_thighhighs, zettai_ryouiki, hair_ornament, serafuku, twintails, upper_body, "
     "absurdres, highres", 59),
    ("masterpiece, best quality, 1girl, (detailed face:1.2), cyberpunk city, neon lights, night, "
     "rain, <lora:style:0.8>", 36),
    ("The image shows a man in a dark suit standing in front of a large glass building; the sky is "
     "overcast and the street is wet from rain. To his left, a bicycle leans against a lamp post.",
     42),
    ("photograph of an astronaut in an orange spacesuit, NASA insignia, American flag, space "
     "shuttle model, smiling, portrait, studio lighting, 85mm f/1.8", 35),
    ("watercolour illustration of a lighthouse on a rocky cliff, stormy sea, seagulls, muted "
     "colours, visible brush strokes, paper texture", 24),
    ("A photorealistic, hyperdetailed portrait of an elderly fisherman's weathered face, wrinkles, "
     "grey beard, woollen hat, dramatic chiaroscuro lighting, Rembrandt style", 34),
    ("it's a dog's bowl, isn't it? they've got 12 of them; 2023-05-14 15:32", 34),
    ("Молодая женщина в красном платье стоит у окна", 45),
    ("一个女孩在公园里散步，阳光明媚", 35),
    ("女の子が笑っている、青い空、白い雲", 32),
)  # fmt: skip
PIECES = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
SPECIAL = ["<|startoftext|>", "<|endoftext|>"]


@pytest.fixture(autouse=True)
def no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of Hugging Face."""
    import huggingface_hub.constants as constants

    cache = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    return cache


@pytest.fixture(scope="module")
def clip() -> Any:
    """A tokenizer built as CLIP's is, with a vocabulary of its own."""
    made = Tokenizer(BPE(unk_token=SPECIAL[1], end_of_word_suffix="</w>"))
    made.normalizer = Sequence([NFC(), Replace(Regex(r"\s+"), " "), Lowercase()])
    steps = [Split(Regex(PIECES), behavior="removed", invert=True), ByteLevel(False)]
    made.pre_tokenizer = Steps(steps)
    trainer = BpeTrainer(
        vocab_size=900, special_tokens=SPECIAL, end_of_word_suffix="</w>", show_progress=False,
        initial_alphabet=ByteLevel.alphabet(),
    )  # fmt: skip
    made.train_from_iterator([text for text, _ in COUNTED] * 2, trainer)
    return made


def counts(tokenizer: Any, texts: list[str]) -> list[int]:
    return [len(tokenizer.encode(text, add_special_tokens=False).ids) for text in texts]


def two_files(tokenizer: Any, folder: Path) -> None:
    """Save a tokenizer as older copies of CLIP have it."""
    folder.mkdir(parents=True)
    model = json.loads(tokenizer.to_str())["model"]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"]))
    merges = (" ".join(pair) if isinstance(pair, list) else pair for pair in model["merges"])
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges))


def cached(cache: Path, repository: str) -> Path:
    """Return the folder of a repository in the cache, as the hub's client lays it out."""
    folder = cache / ("models--" + repository.replace("/", "--"))
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("abc")
    return folder / "snapshots" / "abc"


def test_the_estimate_is_near_what_clip_counts():
    off = [abs(estimated(text) - count) / count for text, count in COUNTED]

    assert sum(off) / len(off) < 0.1
    assert max(off) < 0.2


def test_without_a_vocabulary_the_number_is_estimated():
    counter = token_counter()

    assert not counter.exact
    assert counter.over(["a cat", COUNTED[2][0]], 40) == {1: estimated(COUNTED[2][0])}
    assert counter.said(49) == "about 49 tokens, estimated"


def test_tokens_are_exact_with_the_folder_of_the_setting(
    clip: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "my-clip").mkdir()
    clip.save(str(tmp_path / "my-clip" / "tokenizer.json"))
    monkeypatch.setenv("IMGOPEN_CLIP", str(tmp_path / "my-clip"))
    counter, texts = token_counter(), [text for text, _ in COUNTED]

    assert counter.exact
    assert counter.counts(texts) == counts(clip, texts)
    assert counter.said(49) == "49 tokens"


def test_tokens_are_exact_with_an_older_copy_in_a_subfolder(
    clip: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    two_files(clip, tmp_path / "pipeline" / "tokenizer")
    monkeypatch.setenv("IMGOPEN_CLIP", str(tmp_path / "pipeline"))
    texts = [text for text, _ in COUNTED]

    assert token_counter().counts(texts) == counts(clip, texts)


@pytest.mark.parametrize("chosen", ["", "someone/her-clip"])
def test_a_cached_copy_is_used_and_nothing_is_downloaded(
    clip: Any, no_cache: Path, monkeypatch: pytest.MonkeyPatch, chosen: str
):
    two_files(clip, cached(no_cache, chosen or REPOSITORY))
    monkeypatch.setenv("IMGOPEN_CLIP", chosen)
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("went to the network"))

    assert token_counter().exact


@pytest.mark.parametrize("content", ["{}", "no JSON", None])
def test_another_or_a_broken_tokenizer_is_not_used(
    clip: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
):
    if content is None:
        clip_less = json.loads(clip.to_str())
        clip_less["model"] = {"type": "WordLevel", "vocab": {"cat": 0, "x": 1}, "unk_token": "x"}
        clip_less["added_tokens"] = []
        content = json.dumps(clip_less)
    (tmp_path / "tokenizer.json").write_text(content)
    monkeypatch.setenv("IMGOPEN_CLIP", str(tmp_path))

    assert not token_counter().exact


def test_without_the_package_the_number_is_estimated(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)

    assert not token_counter().exact


def test_counting_by_words_is_exact_for_any_text(
    clip: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    clip.save(str(tmp_path / "tokenizer.json"))
    monkeypatch.setenv("IMGOPEN_CLIP", str(tmp_path))
    dice = random.Random(15)
    parts = [*"abcXYZ'stdm 019_-,.!\n\té猫½²ß\u0130\u0301\u00a0\u2003\x1c", "😀", *SPECIAL, "'re"]
    texts = [
        "".join(dice.choices(parts, k=dice.randrange(1, 30))) for _ in range(often(500, 50000))
    ]

    assert token_counter().counts(texts) == counts(clip, texts)


def test_a_tokenizer_that_cuts_in_another_way_is_asked_for_each_text(
    clip: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """It takes capitals for other letters."""
    other = Tokenizer.from_str(clip.to_str())
    other.normalizer = NFC()
    other.save(str(tmp_path / "tokenizer.json"))
    monkeypatch.setenv("IMGOPEN_CLIP", str(tmp_path))
    texts = ["A CAT", "a cat", "The Image shows a man"]

    assert token_counter().counts(texts) == counts(other, texts)
