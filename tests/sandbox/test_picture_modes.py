"""What each operation that returns an image makes of odd ones: modes, alpha, size, turned."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imgopen_nb.sandbox.engine import EngineError
from imgopen_nb.sandbox.jobs.pictures import decode

from ..sandbox.test_engines_faces import ENGINES
from ..sandbox_fixtures import FakeWork, sample

SIZE = (60, 40)
ALPHA = 90


def photograph() -> Image.Image:
    return sample("coffee").resize(SIZE)


def half_clear() -> Image.Image:
    """Return a photograph whose left half is opaque, the other half nearly transparent."""
    image = photograph().convert("RGBA")
    image.putalpha(ALPHA)
    image.paste(photograph().crop((0, 0, 30, 40)), (0, 0))
    return image


def palette() -> Image.Image:
    image = photograph().quantize(16)
    image.info["transparency"] = bytes([255] * 15 + [0])
    return image


def saved(image: Image.Image, suffix: str = "PNG", **more: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, suffix, **more)
    return buffer.getvalue()


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(photograph().transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif)


def sixteen_bits() -> Image.Image:
    return Image.fromarray(np.asarray(photograph().convert("L")).astype(np.uint16) * 257)


FILES: dict[str, tuple[bytes, str]] = {
    "RGB": (saved(photograph()), "RGB"),
    "RGBA": (saved(half_clear()), "RGBA"),
    "LA": (saved(half_clear().convert("LA")), "RGBA"),
    "palette": (saved(palette(), transparency=palette().info["transparency"]), "RGBA"),
    "grey": (saved(photograph().convert("L")), "RGB"),
    "1 bit": (saved(photograph().convert("1")), "RGB"),
    "16 bits": (saved(sixteen_bits()), "RGB"),
    "CMYK": (saved(photograph().convert("CMYK"), "JPEG"), "RGB"),
    "turned by EXIF": (turned(), "RGB"),
    "one pixel": (saved(Image.new("RGB", (1, 1), "red")), "RGB"),
    "one clear pixel": (saved(Image.new("RGBA", (1, 1))), "RGBA"),
    "very wide": (saved(Image.new("RGBA", (3000, 2), (200, 30, 30, ALPHA))), "RGBA"),
}
OPERATIONS: dict[str, dict[str, Any]] = {
    "enlarge": {"scale": 1.5},
    "upscale": {"scale": 2},
    "watermark": {"text": "img", "opacity": 0.0},
    "outpaint": {"horizontal": 1.5, "vertical": 1, "seed": 1},
    "erase": {},
}
# What is said of an image of one pixel.
REFUSED = {"erase": "covers the whole image", "watermark": "text is too long for an image of 1"}


# Decoding leaves two modes; what an operation makes of them does not depend on the file's.
SHOWN = ("grey", "LA", "one pixel", "one clear pixel", "very wide")


@pytest.mark.parametrize("name", FILES)
def test_every_file_is_decoded_to_colour_with_alpha_or_without(name: str) -> None:
    data, mode = FILES[name]
    image = decode(data)

    assert image.mode == mode
    assert image.size == SIZE or image.height < 3


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("name", SHOWN)
def test_size_and_transparency_are_as_promised(operation: str, name: str) -> None:
    data, mode = FILES[name]
    image = decode(data)
    mask = Image.new("L", image.size)
    mask.paste(255, (0, 0, max(1, image.width // 4), image.height))
    params = OPERATIONS[operation]
    work = FakeWork({"image": image, "mask": mask}, params)
    if image.width == 1 and operation in REFUSED:
        with pytest.raises(EngineError, match=REFUSED[operation]):
            ENGINES[operation].run(work)
        return
    ENGINES[operation].run(work)
    result = work.saved[0]
    across, down = params.get("scale", params.get("horizontal", 1)), params.get("scale", 1)
    assert result.size == (round(image.width * across), round(image.height * down))
    assert result.mode == mode
    if name in ("LA", "very wide"):
        place = (round(result.width * 0.75), result.height // 2)
        assert abs(result.getpixel(place)[3] - ALPHA) < 3


def test_the_new_border_is_opaque_and_the_old_alpha_kept() -> None:
    work = FakeWork(half_clear(), {"horizontal": 1.5, "seed": 1})
    ENGINES["outpaint"].run(work)
    levels = np.asarray(work.saved[0].getchannel("A"))

    assert (levels[:, :15] == 255).all()
    assert (levels[:, 75:] == 255).all()
    assert (levels[:, 15:75] == np.asarray(half_clear().getchannel("A"))).all()


@pytest.mark.parametrize("alpha", [0, 255])
def test_an_erased_part_takes_the_alpha_around_it(alpha: int) -> None:
    image = Image.new("RGBA", (80, 60), (20, 120, 200, alpha))
    image.paste((255, 0, 0, 255 - alpha), (30, 20, 50, 40))
    mask = Image.new("L", image.size)
    mask.paste(255, (26, 16, 54, 44))
    work = FakeWork({"image": image, "mask": mask})
    ENGINES["erase"].run(work)

    assert work.saved[0].getchannel("A").getextrema() == (alpha, alpha)


@pytest.mark.parametrize(
    ("operation", "params"),
    [
        ("face-swap", {}),
        ("face-swap-v2", {}),
        ("face-fusion", {}),
        ("face-restore", {}),
        ("hairstyle", {"hair": "blue"}),
    ],
)
def test_faces_are_changed_and_transparency_kept(operation: str, params: dict[str, Any]) -> None:
    image = sample("astronaut").crop((80, 0, 380, 300)).convert("RGBA")
    alpha = Image.linear_gradient("L").resize(image.size).point(lambda level: 255 - level // 8)
    image.putalpha(alpha)
    face = sample("grace_hopper")
    work = FakeWork({"image": image, "face": face, "faces": [face]}, params)
    ENGINES[operation].run(work)

    assert work.saved[0].mode == "RGBA"
    assert work.saved[0].getchannel("A").tobytes() == alpha.tobytes()
