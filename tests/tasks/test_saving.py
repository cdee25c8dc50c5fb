"""Results as files, as PIL images and as DataFrames."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from PIL import Image

from imgopen_nb.batch.rows import not_run
from imgopen_nb.catalogue.operations import OPERATIONS
from imgopen_nb.errors import ParameterError, PictureError, UsageError
from imgopen_nb.session import Session

from ..stub import Reply, Request, Stub, ok
from ..test_session import URL


def picture(kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (40, 30), "teal").save(out, kind)
    return out.getvalue()


def serving(stub: Stub, count: int, data: bytes) -> None:
    """Have the stub finish a drawing with so many images, and serve them."""

    def answer(request: Request) -> Reply:
        if request.body is None:
            return Reply(data)
        urls = [{"image_url": f"{stub.url}/out/{i}.bin"} for i in range(count)]
        return ok(status=2, differentialImageRspList=urls)

    stub.answer = answer


@pytest.mark.parametrize(("kind", "suffix"), [("PNG", ".png"), ("JPEG", ".jpg"), ("WEBP", ".webp")])
def test_originals_are_saved_under_the_suffix_of_their_bytes(
    session: Session, stub: Stub, tmp_path: Path, kind: str, suffix: str
):
    serving(stub, 2, picture(kind))
    result = session.run("text2image", prompt="a fox", seed=7)

    *pictures, origin = result.save(tmp_path / "new" / "folder")

    assert [p.name for p in pictures] == [
        f"text2image-{result.task_id}-1{suffix}",
        f"text2image-{result.task_id}-2{suffix}",
    ]
    assert pictures[0].read_bytes() == picture(kind)
    told = json.loads(origin.read_text("utf-8"))
    assert (told["params"]["seed"], told["operation"]) == (7, "text2image")
    assert told["files"] == [p.name for p in pictures]
    assert told["urls"] == result.images


def test_a_caption_is_saved_as_text(session: Session, stub: Stub, tmp_path: Path):
    stub.replies(ok(status=2, caption="eine Katze 猫"))

    text, _ = session.run("describe", image=URL).save(tmp_path)

    assert text.read_text("utf-8") == "eine Katze 猫\n"


def test_what_was_saved_is_replaced_by_a_later_save_unless_it_was_edited(
    session: Session, stub: Stub, tmp_path: Path
):
    serving(stub, 2, picture())
    result = session.run("text2image", prompt="a fox", seed=7)
    one, two, origin = result.save(tmp_path)
    stub.answer = lambda request: Reply(picture("JPEG"))
    assert result.save(tmp_path)[2] == origin  # new images, and an origin that names them

    two.write_bytes(b"edited")
    serving(stub, 2, picture())
    one.unlink()
    with pytest.raises(UsageError, match=rf"{two.name} was not written by .* nothing was written"):
        result.save(tmp_path)
    assert not one.exists()
    assert result.save(tmp_path, overwrite=True) == [one, two, origin]
    assert (one.read_bytes(), two.read_bytes()) == (picture(), picture())


def test_if_a_picture_cannot_be_fetched_nothing_is_written(
    session: Session, stub: Stub, tmp_path: Path
):
    serving(stub, 2, picture())
    result = session.run("text2image", prompt="a fox", seed=7)
    stub.answer = lambda request: Reply(picture() if "/0." in request.path else b"gone")

    with pytest.raises(PictureError):
        result.save(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_row_without_a_task_has_no_files():
    with pytest.raises(UsageError, match="does not come from a task"):
        not_run(OPERATIONS["upscale"], {}, "no such file").save("new")


def test_a_picture_can_be_had_as_pil(session: Session, stub: Stub):
    serving(stub, 1, picture())

    result = session.run("text2image", prompt="a fox")
    image = result.images[0].pil()

    assert (image.size, image.mode) == ((40, 30), "RGB")
    assert OPERATIONS["upscale"].check({"image": result})["image"] == result.images[0]


@pytest.mark.parametrize("several", [0, 2])
def test_a_result_with_no_or_several_pictures_is_no_picture(
    session: Session, stub: Stub, several: int
):
    serving(stub, several, picture())
    result = session.run("text2image", prompt="a fox")

    with pytest.raises(ParameterError, match=f"image: this Result holds {several} images"):
        OPERATIONS["upscale"].check({"image": result})


def test_an_output_that_is_not_a_picture_is_an_error(session: Session, stub: Stub, tmp_path: Path):
    serving(stub, 1, b"<html>gone</html>")
    result = session.run("text2image", prompt="a fox")

    with pytest.raises(PictureError, match="not an image"):
        result.images[0].pil()
    with pytest.raises(PictureError, match="not an image"):
        result.save(tmp_path)


def test_a_picture_inside_a_private_network_is_not_fetched(session: Session, stub: Stub):
    stub.replies(ok(status=2, differentialImageRspList=[{"image_url": "http://127.0.0.1:1/x.png"}]))

    with pytest.raises(PictureError, match="private network"):
        session.run("text2image", prompt="a fox").images[0].data()


def test_a_list_is_a_frame_with_the_vendors_columns(session: Session, stub: Stub):
    stub.replies(ok(rows=[{"id": 39, "sdModelName": "Photon"}], total=1))

    frame = session.run("models").frame()

    assert frame.columns.tolist() == ["id", "sdModelName"]
    assert frame.sdModelName[0] == "Photon"


@pytest.mark.parametrize(
    ("image", "begin"),
    [
        ("https://e.org/my%20cat.jpeg?size=2#top", "my_20cat-"),
        ("sample:coffee", "coffee-"),
        ("https://e.org/", "e-"),
        (picture(), "bytes_40x30_"),
    ],
)
def test_files_are_named_after_the_picture_the_operation_and_the_task(
    session: Session, stub: Stub, tmp_path: Path, image: str | bytes, begin: str
):
    stub.replies(ok(url="https://e.org/up.png"), ok(status=2, caption="a cat"))
    if not str(image).startswith("http"):
        session = Session(stub.url, home=tmp_path / "home", backend="sandbox")
    task = session.submit("describe", image=image)
    result = task.result()

    text, origin = result.save(tmp_path / "made")

    assert text.name.startswith(begin)
    assert text.name.endswith(f"-describe-{result.task_id}.txt")
    assert origin.stem == text.stem
    assert (task.task_id, result.id) == (task.id, result.task_id) == (task.id, task.id)


def test_an_answer_without_files_is_saved_with_its_origin(
    session: Session, stub: Stub, tmp_path: Path
):
    stub.replies(ok(rows=[{"id": 39}], total=1))

    (origin,) = session.run("models").save(tmp_path)

    assert json.loads(origin.read_text("utf-8"))["data"]["rows"] == [{"id": 39}]
