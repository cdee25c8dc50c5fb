from __future__ import annotations

import base64
import hashlib
import io
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import numpy as np
import PIL
import pytest
from PIL import Image

from imgopen_nb.errors import PictureError, UnknownNameError
from imgopen_nb.images.picture import (
    Picture,
    data_url,
    name_of_unread,
    path_of_address,
    read_picture,
    samples,
    thumbnail,
    within,
)
from imgopen_nb.media.formats import MAX_PIXELS, MAX_SIDE

RED, GREEN, BLUE = (220, 30, 30), (30, 200, 30), (30, 30, 220)


def encoded(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def noise(width: int, height: int) -> Image.Image:
    return Image.frombytes("RGB", (width, height), random.Random(1).randbytes(width * height * 3))


def halves(width: int = 80, height: int = 60) -> Image.Image:
    """Red on the left, blue on the right."""
    image = Image.new("RGB", (width, height), RED)
    image.paste(BLUE, (width // 2, 0, width, height))
    return image


def seen(jpeg: bytes) -> Image.Image:
    return Image.open(io.BytesIO(jpeg)).convert("RGB")


def near(pixel: Any, colour: tuple[int, int, int]) -> bool:
    return all(abs(a - b) < 40 for a, b in zip(pixel, colour, strict=True))


PNG = encoded(halves())


@pytest.mark.parametrize("module", ["imgopen_nb.images.picture", "imgopen_nb.tasks.cards"])
def test_importing_loads_neither_pillow_nor_numpy_nor_pandas_nor_jinja(module: str) -> None:
    heavy = "{'PIL', 'numpy', 'pandas', 'jinja2', 'IPython'}"
    code = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"

    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert out.stdout.strip() == "[]"


class TestReadPicture:
    def test_url_is_kept_and_not_fetched(self) -> None:
        picture = read_picture("  https://example.invalid/a/cat.JPG?x=1&y=%20 ")

        url = "https://example.invalid/a/cat.JPG?x=1&y=%20"
        assert picture == Picture(url, url, None, ".jpg")

    def test_password_in_a_url_is_used_and_not_shown(self) -> None:
        picture = read_picture("https://me:s3cret@example.org/cat.png")

        assert picture.url == "https://me:s3cret@example.org/cat.png"
        assert picture.label == "https://***@example.org/cat.png"

    @pytest.mark.parametrize(
        "url",
        ["http://", "https:///cat.png", "http://a b/cat.png", "http://[::1/x", "https://a/\n"],
    )
    def test_unusable_url_is_explained(self, url: str) -> None:
        if url.endswith("\n"):
            url += "x"
        with pytest.raises(PictureError, match="not a usable address"):
            read_picture(url)

    def test_other_schemes_are_refused(self) -> None:
        with pytest.raises(PictureError, match=r"cannot be fetched from 'ftp://host/cat.png'"):
            read_picture("ftp://host/cat.png")

    @pytest.mark.parametrize("kind", [str, Path])
    def test_file_keeps_its_bytes_and_its_name_is_absolute(
        self, kind: Callable[[Path], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "cat.data").write_bytes(PNG)
        monkeypatch.chdir(tmp_path)

        assert read_picture(kind(Path("cat.data"))) == Picture(
            str(tmp_path / "cat.data"), None, PNG, ".png"
        )

    def test_home_is_expanded(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        (tmp_path / "cat.png").write_bytes(PNG)

        assert read_picture("~/cat.png").label == str(tmp_path / "cat.png")

    def test_spaces_around_a_path_count_where_a_file_has_them(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Otherwise they are a slip, as in a list that was split at its commas."""
        monkeypatch.chdir(tmp_path)
        Path("cat.png").write_bytes(PNG)
        assert read_picture(" cat.png ").label == str(tmp_path / "cat.png")

        Path(" cat.png").write_bytes(encoded(noise(8, 8)))

        assert read_picture(" cat.png").label == str(tmp_path / " cat.png")
        assert read_picture(" cat.png").data == encoded(noise(8, 8))

    def test_missing_file_names_the_near_one(self, tmp_path: Path) -> None:
        (tmp_path / "holiday.png").write_bytes(PNG)

        with pytest.raises(PictureError, match=r"there is no file .*\n.*did you mean holiday\.png"):
            read_picture(tmp_path / "hollday.png")

    def test_folder_is_refused_with_the_way_to_list_it(self, tmp_path: Path) -> None:
        with pytest.raises(PictureError, match=r"is a folder\n.*--from"):
            read_picture(tmp_path)

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
    def test_pipe_is_not_read(self, tmp_path: Path) -> None:
        """Opening it would wait for ever."""
        os.mkfifo(tmp_path / "pipe")

        with pytest.raises(PictureError, match="not an ordinary file"):
            read_picture(tmp_path / "pipe")

    def test_file_of_more_than_50_mb_is_refused_unread(self, tmp_path: Path) -> None:
        with (tmp_path / "big.png").open("wb") as file:
            file.truncate(50_000_001)

        with pytest.raises(PictureError, match=r"too large: 50 MB\n.*make it smaller"):
            read_picture(tmp_path / "big.png")

    @pytest.mark.parametrize("text", ["", "   ", "a\0b", "x" * 5000, "\ud800.png"])
    def test_text_that_is_no_path_is_a_picture_error(self, text: str) -> None:
        with pytest.raises(PictureError):
            read_picture(text)

    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, io.BytesIO])
    def test_bytes_are_kept_and_labelled_by_size_and_hash(
        self, kind: Callable[[bytes], Any]
    ) -> None:
        picture = read_picture(kind(PNG))

        assert (picture.data, picture.suffix) == (PNG, ".png")
        assert picture.label.endswith(f" 80x60 {hashlib.sha256(PNG).hexdigest()[:8]}>")

    def test_file_that_was_just_written_is_read_from_its_start(self) -> None:
        file = io.BytesIO()
        halves().save(file, "PNG")

        assert read_picture(file).data == file.getvalue()

    def test_text_file_is_explained(self) -> None:
        with pytest.raises(PictureError, match=r"open as text\n.*\"rb\""):
            read_picture(io.StringIO("GIF89a"))

    def test_data_url_is_decoded(self) -> None:
        url = "data:image/png;base64," + base64.b64encode(PNG).decode()

        assert read_picture(url).data == PNG

    @pytest.mark.parametrize(
        "form",
        ["data:image/png,{percent}", "data:,{percent}", "data:image/png; BASE64,{base64}",
         "data:image/png;base64,{url_safe}", "{base64}", "{base64_lines}", "{unpadded}",
         "{url_safe}", '"{path}"', "'{path}'", "“{path}”", "‘{path}’", "«{path}»", ' "{path}" ',
         "file://{escaped}", "file://localhost{escaped}", "file:{escaped}", "FILE://{escaped}",
         '"file://{escaped}"'],
    )  # fmt: skip
    def test_what_people_paste_is_taken(self, form: str, tmp_path: Path) -> None:
        path = tmp_path / "my cat é.png"
        path.write_bytes(PNG)
        text = base64.b64encode(PNG).decode()
        given = form.format(
            percent=quote(PNG), path=path, escaped=quote(str(path)), base64=text,
            base64_lines=base64.encodebytes(PNG).decode(), unpadded=text.rstrip("="),
            url_safe=base64.urlsafe_b64encode(PNG).decode(),
        )  # fmt: skip

        assert read_picture(given).data == PNG
        assert (name_of_unread(given) == str(path)) is ("path" in form or "escaped" in form)

    def test_jpeg_in_base64_is_no_path(self) -> None:
        out = io.BytesIO()
        halves().save(out, "JPEG")

        assert read_picture(base64.b64encode(out.getvalue()).decode()).suffix == ".jpg"

    def test_a_relative_path_in_quotes_is_meant_in_its_folder(self, tmp_path: Path) -> None:
        assert within("/a", '"b c.png"') == os.path.join("/a", "b c.png")

    def test_a_file_whose_name_has_quotes_is_itself(self, tmp_path: Path) -> None:
        path = tmp_path / '"a.png"'
        path.write_bytes(PNG)

        assert read_picture(str(path)).label == str(path)

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ("file://server/cat.png", "another computer"),
            ("file://", "names no file"),
            ("file:///no%20such.png", "no file /no such.png"),
            ("iVBORw0KGgo" + "A" * 100, "base64 text"),
            ("data:image/png", "no comma"),
            ("data:text/plain,hello", "image"),
        ],
    )
    def test_a_pasted_text_that_is_no_picture_is_one_sentence(self, given: str, said: str) -> None:
        with pytest.raises(PictureError, match=said):
            read_picture(given)

    @pytest.mark.parametrize(
        ("url", "path"),
        [
            ("file:///C:/my%20cats/a.png", "C:\\my cats\\a.png"),
            ("file://C:/a.png", "C:\\a.png"),
            ("file:///c|/a.png", "c:\\a.png"),
            ("file://server/share/a.png", "\\\\server\\share\\a.png"),
        ],
    )
    def test_a_file_address_on_windows(
        self, url: str, path: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("imgopen_nb.images.picture.os", SimpleNamespace(name="nt"))

        assert path_of_address(url) == path

    @pytest.mark.parametrize(
        "url", ["data:image/png,abc", "data:image/png;base64", "data:;base64,#", "data:;base64,AA"]
    )
    def test_bad_data_url_is_a_picture_error(self, url: str) -> None:
        with pytest.raises(PictureError):
            read_picture(url)

    @pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
    def test_pil_image_becomes_the_same_pixels_as_png(self, mode: str) -> None:
        image = halves().convert(mode)

        picture = read_picture(image)

        assert picture.label.startswith("<PIL 80x60 ")
        assert picture.suffix == ".png"
        assert seen(picture.data or b"").tobytes() == image.convert("RGB").tobytes()

    @pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "HSV", "LAB"])
    def test_pil_image_of_another_colour_space_says_that_it_was_converted(self, mode: str) -> None:
        picture = read_picture(Image.new(mode, (80, 60)))

        assert picture.notes[0].endswith("shown as RGB")

    @pytest.mark.parametrize("mode", ["I", "F", "I;16"])
    def test_deep_pil_image_is_scaled_to_eight_bits(self, mode: str) -> None:
        image = Image.fromarray(np.array([[0, 1000], [2000, 4000]], np.uint16)).convert(mode)

        picture = read_picture(image)

        assert picture.notes == ("values 0 to 4000 shown as black to white",)
        assert list(seen(picture.data or b"").convert("L").tobytes()) == [0, 64, 128, 255]

    def test_closed_pil_image_is_a_picture_error(self, tmp_path: Path) -> None:
        (tmp_path / "a.png").write_bytes(PNG)
        image = Image.open(tmp_path / "a.png")
        image.close()

        with pytest.raises(PictureError, match="PIL image cannot be decoded"):
            read_picture(image)

    @pytest.mark.parametrize(
        ("array", "expected"),
        [
            (np.array([[0, 255]], np.uint8), [0, 255]),
            (np.array([[[0], [255]]], np.uint8), [0, 255]),
            (np.array([[False, True]]), [0, 255]),
            (np.array([[0, 1]]), [0, 255]),  # a mask
            (np.array([[0, 1]], np.uint8), [0, 255]),
            (np.array([[0.0, 0.5, 1.0]]), [0, 128, 255]),
            (np.array([[0.0, 1.0]], np.float16), [0, 255]),
            (np.array([[0, 65535]], np.uint16), [0, 255]),
            (np.array([[0, 200]], np.int64), [0, 200]),
        ],
    )
    def test_grey_arrays_keep_their_values(self, array: Any, expected: list[int]) -> None:
        picture = read_picture(array)

        assert list(seen(picture.data or b"").convert("L").tobytes()) == expected

    @pytest.mark.parametrize("channels", [3, 4])
    def test_colour_arrays_of_any_memory_order_are_read(self, channels: int) -> None:
        array = np.asarray(halves().convert("RGBA"))[::-1, :, :channels]

        picture = read_picture(array)

        assert picture.label.startswith("<array 80x60 ")
        assert near(seen(picture.data or b"").getpixel((5, 5)), RED)

    @pytest.mark.parametrize(
        ("array", "hint"),
        [
            (np.zeros((3, 40, 50)), "channels come first"),
            (np.zeros((1, 40, 50, 3)), r"array\[0\]"),
            (np.zeros((0, 5)), "height × width"),
            (np.zeros(5), "height × width"),
            (np.zeros((4, 4, 2)), "height × width"),
            (np.full((4, 4), 2.0), "from 0 to 1"),
            (np.full((4, 4), np.nan), "from 0 to 1"),
            (np.full((4, 4), 256), "from 0 to 255"),
            (np.full((4, 4), -1), "from 0 to 255"),
            (np.zeros((4, 4), complex), "uint8"),
            (np.full((4, 4), "x"), "a column or list has many"),
        ],
    )
    def test_arrays_that_are_no_picture_say_what_to_do(self, array: Any, hint: str) -> None:
        with pytest.raises(PictureError, match=hint):
            read_picture(array)

    @pytest.mark.parametrize("source", [None, 7, 3.5, object(), [PNG], {"a": 1}, Image, bytes])
    def test_anything_else_is_a_picture_error_with_a_hint(self, source: Any) -> None:
        with pytest.raises(PictureError, match=r"cannot be read from a .*\n  → give"):
            read_picture(source)

    def test_picture_stays_itself(self) -> None:
        picture = read_picture(PNG)

        assert read_picture(picture) is picture

    def test_samples_are_read_by_name(self) -> None:
        for name, file in samples().items():
            assert read_picture(f"sample:{name}") == Picture(
                f"sample:{name}", None, file.read_bytes(), file.suffix
            )
        assert list(samples()) == sorted(samples())

    def test_unknown_sample_names_the_near_one(self) -> None:
        name = next(iter(samples()))

        with pytest.raises(UnknownNameError, match=f"did you mean .*{name}"):
            read_picture(f"sample:{name}x")

    @pytest.mark.parametrize(
        ("data", "what"),
        [
            (b"<!DOCTYPE html><html>404</html>", "a web page"),
            (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
            (b"%PDF-1.7 ...", "a PDF"),
            (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC"),
            (b'{"error": "not found"}', "JSON"),
            (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
            (b"no picture at all", "damaged at its start"),
            (b"\x89PNG\r\n\x1a\n", "damaged at its start"),
            (b"", "empty"),
        ],
    )
    def test_what_is_no_picture_is_named(self, data: bytes, what: str) -> None:
        with pytest.raises(PictureError, match=what):
            read_picture(data)


MODES = ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I", "F", "I;16"]


class TestThumbnail:
    @pytest.mark.parametrize("mode", MODES)
    def test_every_mode_becomes_a_readable_rgb_jpeg(self, mode: str) -> None:
        if mode == "YCbCr" and PIL.__version__ < "11":
            pytest.skip("Pillow 10 writes a TIFF of it that it cannot read")
        image = Image.new(mode, (300, 200))

        found = thumbnail(encoded(image, "TIFF"), 192)

        assert (found.width, found.height, found.original) == (192, 128, (300, 200))
        assert seen(found.jpeg).size == (192, 128)

    @pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"])
    def test_every_format_shows_its_colours(self, format: str) -> None:
        found = seen(thumbnail(encoded(halves(400, 300), format), 100).jpeg)

        assert near(found.getpixel((10, 40)), RED)
        assert near(found.getpixel((90, 40)), BLUE)

    @pytest.mark.parametrize(("size", "limit"), [(512, 60_000), (192, 14_000), (64, 14_000)])
    def test_noise_is_compressed_until_it_fits(self, size: int, limit: int) -> None:
        """Noise is the worst that a JPEG can meet."""
        found = thumbnail(encoded(noise(600, 600)), size)

        assert len(found.jpeg) <= limit
        assert max(found.width, found.height) == size

    def test_photographs_take_far_less(self) -> None:
        sizes = [len(thumbnail(file.read_bytes(), 192).jpeg) for file in samples().values()]

        assert sum(sizes) / len(sizes) < 9_000

    def test_small_pictures_are_not_enlarged(self) -> None:
        assert thumbnail(encoded(halves(20, 10)), 512).width == 20

    def test_transparency_is_shown_as_a_checkerboard_and_said(self) -> None:
        image = Image.new("RGBA", (40, 40), (0, 0, 0, 0))

        found = thumbnail(encoded(image), 40)

        assert near(seen(found.jpeg).getpixel((20, 20)), (213, 216, 220))
        assert near(seen(found.jpeg).getpixel((28, 20)), (255, 255, 255))
        assert found.notes == ("transparent parts shown as a checkerboard",)

    def test_an_alpha_channel_that_hides_nothing_is_not_mentioned(self) -> None:
        assert thumbnail(encoded(halves().convert("RGBA")), 40).notes == ()

    def test_transparent_palette_colour_is_shown_as_a_checkerboard(self) -> None:
        image = Image.new("P", (40, 40), 0)
        image.putpalette([0, 0, 0, 255, 0, 0])

        found = thumbnail(encoded(image, "GIF", transparency=0), 40)

        assert near(seen(found.jpeg).getpixel((20, 20)), (213, 216, 220))

    @pytest.mark.parametrize("turn", range(1, 9))
    def test_exif_rotation_is_applied(self, turn: int) -> None:
        """Whatever way the camera was held, the image shows red left of blue."""
        undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the inverse turns
        stored = halves()
        if turn in undo:
            stored = stored.transpose(Image.Transpose(undo[turn]))
        exif = Image.Exif()
        exif[0x0112] = turn

        found = thumbnail(encoded(stored, "JPEG", exif=exif), 80)

        assert (found.original, found.width) == ((80, 60), 80)
        assert near(seen(found.jpeg).getpixel((10, 30)), RED)
        assert near(seen(found.jpeg).getpixel((70, 30)), BLUE)
        assert bool(found.notes) == (turn > 1)

    @pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF"])
    def test_first_of_several_frames_is_shown_and_said(self, format: str) -> None:
        frames = [Image.new("RGB", (30, 30), colour) for colour in (RED, GREEN, BLUE)]
        data = encoded(frames[0], format, save_all=True, append_images=frames[1:])

        found = thumbnail(data, 30)

        assert found.notes == (f"first of 3 {'pages' if format == 'TIFF' else 'frames'}",)
        assert near(seen(found.jpeg).getpixel((15, 15)), RED)

    def test_cmyk_is_said(self) -> None:
        data = encoded(halves().convert("CMYK"), "JPEG")

        assert thumbnail(data, 80).notes == ("CMYK shown as RGB",)

    def test_infinite_and_missing_values_do_no_harm(self) -> None:
        values = np.array([[np.nan, np.inf], [0, 10]], np.float32)

        found = thumbnail(encoded(Image.fromarray(values), "TIFF"), 64)

        assert found.notes == ("values 0 to 10 shown as black to white",)

    @pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "BMP", "TIFF"])
    def test_truncated_picture_is_a_picture_error(self, format: str) -> None:
        data = encoded(noise(200, 200), format)

        with pytest.raises(PictureError, match=r"cut off or damaged|damaged at its start"):
            thumbnail(data[: len(data) // 2], 100)

    def test_random_damage_gives_a_thumbnail_or_a_picture_error(self) -> None:
        chance = random.Random(5)
        for format in ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"):
            data = encoded(noise(60, 40), format)
            for _ in range(40):
                broken = bytearray(data)
                for _ in range(4):
                    broken[chance.randrange(len(broken))] = chance.randrange(256)
                try:
                    thumbnail(bytes(broken), 64)
                except PictureError:
                    continue

    def test_broken_exif_is_ignored(self) -> None:
        assert thumbnail(encoded(halves(), "JPEG", exif=b"Exif\0\0II*\0broken"), 80).width == 80

    @pytest.mark.parametrize(
        "size", [(8001, 8000), (MAX_SIDE + 1, 1), (20_000, 20_000), (60_000, 60_000)]
    )
    @pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
    def test_too_many_pixels_are_refused_before_decoding(self, size: tuple[int, int]) -> None:
        """Only the header says so: the pixels are not there."""
        assert size[0] * size[1] > MAX_PIXELS or max(size) > MAX_SIDE
        data = bytearray(encoded(Image.new("L", (10, 10)), "BMP"))
        data[18:26] = size[0].to_bytes(4, "little") + size[1].to_bytes(4, "little")

        with pytest.raises(PictureError, match=r"too large|far too many"):
            thumbnail(bytes(data), 192)

    def test_pillow_itself_reads_no_other_format(self) -> None:
        """Fewer decoders, fewer holes: ICO, PPM, EPS and the rest are refused."""
        for format in ("PPM", "ICO", "TGA", "PCX", "SGI"):
            with pytest.raises(PictureError):
                thumbnail(encoded(halves(), format), 64)


def test_data_url_takes_jpeg_only() -> None:
    jpeg = thumbnail(PNG, 64).jpeg

    assert base64.b64decode(data_url(jpeg).removeprefix("data:image/jpeg;base64,")) == jpeg
    with pytest.raises(PictureError):
        data_url(b"<svg onload=alert(1)>")
