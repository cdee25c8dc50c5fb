"""A true diffusers pipeline behind the sandbox: tiny and random, but loaded and run as any other.

The packages of the extra `diffusers` weigh a gigabyte; without them these tests are skipped, and
in CI their absence is a failure.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imgopen_nb.errors import TaskFailedError
from imgopen_nb.session import Session
from imgopen_nb.tasks.result import Result

MISSING = [name for name in ("diffusers", "torch", "transformers") if find_spec(name) is None]
pytestmark = pytest.mark.skipif(
    bool(MISSING) and not os.environ.get("CI"),
    reason=f"not installed: {', '.join(MISSING)} (make test EXTRAS=dev,fuzz,diffusers)",
)
PROMPT = "a red boat"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny Stable Diffusion pipeline."""
    folder = tmp_path_factory.mktemp("diffusers")
    command = [sys.executable, "-m", "tests.tiny_diffusers", str(folder)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return folder / "tiny"


@pytest.fixture(scope="module")
def drawing(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """A session whose sandbox draws with the tiny pipeline, the hub out of reach."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMGOPEN_DIFFUSERS", str(model))
        patch.setenv("HF_HUB_OFFLINE", "1")
        with Session(home=tmp_path_factory.mktemp("home")) as session:
            session.run("expand-prompt", prompt="x", mode=0)  # starts the sandbox, as it is now
            yield session


def draw(session: Session, **more: Any) -> Result:
    asked = {"width": 96, "height": 64, "steps": 4, "seed": 7, **more}
    return session.run("text2image", prompt=PROMPT, timeout=120, **asked)


def pixels(result: Result, at: int = 0) -> np.ndarray:
    return np.asarray(result.images[at].pil().convert("RGB"), int)


def test_text2image_is_drawn_by_the_pipeline_and_marked_as_real(drawing: Session):
    result = draw(drawing)

    assert (result.fidelity, result.engine) == ("real", "diffusers tiny")
    assert result.images[0].pil().size == (96, 64)
    assert pixels(result).std() > 1  # not one flat colour


def test_the_seed_alone_decides_the_bytes(drawing: Session):
    first, again, other = draw(drawing), draw(drawing), draw(drawing, seed=8)

    assert first.images[0].data() == again.images[0].data()
    assert first.images[0].data() != other.images[0].data()


def test_a_batch_has_a_picture_for_each_seed_from_the_first_one_on(drawing: Session):
    both, second = draw(drawing, batch_size=2), draw(drawing, seed=8)

    assert len(both.images) == 2
    assert (pixels(both, 1) == pixels(second)).all()


def test_sides_that_no_latent_grid_has_are_still_what_was_asked_for(drawing: Session):
    assert draw(drawing, width=101, height=67).images[0].pil().size == (101, 67)


def test_each_step_is_progress(drawing: Session):
    task = drawing.submit("text2image", prompt=PROMPT, width=512, height=512, steps=30, seed=7)
    told = [event.progress for event in task.events() if event.progress is not None]

    assert told == sorted(told)
    assert any(0 < share < 1 for share in told)


def photo(size: tuple[int, int] = (96, 64)) -> Image.Image:
    return Image.radial_gradient("L").resize(size).convert("RGB")


def test_image2image_starts_from_the_picture_as_far_as_denoising_says(drawing: Session):
    """Without noise the image comes back as the autoencoder knows it; with noise it changes."""
    asked = {"image": photo(), "model": "any", "prompt": PROMPT, "steps": 10, "seed": 7}
    little = drawing.run("image2image", denoising=0.1, **asked)
    much = drawing.run("image2image", denoising=1.0, **asked)

    assert little.engine == much.engine == "diffusers tiny"
    assert little.images[0].pil().size == (96, 64)
    assert (pixels(little) != pixels(much)).any()


def test_a_mask_s_black_part_stays_to_the_last_bit(drawing: Session):
    mask = Image.new("L", (96, 64))
    mask.paste(255, (30, 20, 60, 50))
    result = drawing.run(
        "image2image", image=photo(), mask=mask, model="any", prompt=PROMPT, steps=4, seed=7
    )
    outside = np.asarray(mask) == 0
    before, after = np.asarray(photo(), int), pixels(result)

    assert result.fidelity == "real"
    assert (before[outside] == after[outside]).all()
    assert (before[~outside] != after[~outside]).any()


def test_flux_stays_a_placeholder_where_the_pipeline_is_no_flux(drawing: Session):
    assert drawing.run("flux", prompt=PROMPT).fidelity == "placeholder"


def test_a_folder_that_holds_no_pipeline_is_one_clear_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("IMGOPEN_DIFFUSERS", str(tmp_path / "empty"))
    with Session(home=tmp_path / "home") as session, pytest.raises(TaskFailedError) as caught:
        draw(session)

    said = str(caught.value)
    assert "the setting diffusers (empty): it cannot be loaded" in said
    assert str(tmp_path) not in said


def test_the_pictures_are_true_png_files(drawing: Session):
    with Image.open(io.BytesIO(draw(drawing).images[0].data())) as found:
        assert found.format == "PNG"
