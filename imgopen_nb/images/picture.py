"""Images in: a URL, a file, bytes, a PIL image or an array become a `Picture`.

Pillow is imported inside functions only, here and in `thumbnail`: a kernel that shows no image
does not load it.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import io
import os
import re
import stat
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, unquote_to_bytes, urlsplit, urlunsplit

from ..catalogue.values import is_embedded
from ..errors import PictureError, UnknownNameError
from ..media.formats import MAX_BYTES, MIME_TYPES, format_named
from ..media.stores import is_store, read_store
from ..text import clip, clip_path, near_match, visible
from .thumbnail import (
    Thumbnail,
    check_size,
    damaged,
    data_url,
    open_picture,
    plain,
    thumbnail,
    too_large,
    upright,
)

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Picture", "Thumbnail", "data_url", "decode", "read_picture", "samples", "thumbnail"]

SAMPLES = Path(__file__).parent / "samples"
# Quotes that people paste with a path, and their other ends.
_QUOTES = {'"': '"', "'": "'", "“": "”", "”": "”", "„": "“", "‘": "’", "’": "’", "«": "»"}
_FILE_ADDRESS = re.compile(r"file:(?://(?P<host>[^/\\]*))?(?P<path>[/\\].*)?", re.I | re.DOTALL)
_BASE64 = re.compile(r"[A-Za-z0-9+/_\s-]+={0,2}\s*")
# The first characters of PNG, JPEG, GIF, WebP, BMP and TIFF files in base64.
_BASE64_PICTURE = re.compile(r"iVBORw0KGgo|/9j/|R0lGOD|UklGR|Qk|SUkqAA|TU0AKg")
_HOST = re.compile(r"(www\.)?([\w-]+\.)+(com|org|net|io|edu|gov|[a-z]{2})/", re.IGNORECASE)
_PASSWORD = re.compile(r"//[^/\s]*@")
_MANY = "for a column or list of images: session.map(...), or --from on a line"
_ACCEPTED = (
    "use an http(s) URL, a path, bytes, an open file, a PIL image, a numpy array or sample:NAME"
)


@dataclass(frozen=True, slots=True)
class Picture:
    """One image as it goes to the service.

    Attributes:
        label: its name in the history: the URL, the absolute path, `<PIL 640x480 3fa9c1d2>`, ...
        url: set where the service fetches the image itself; then `data` is None.
        data: the original bytes of a file; PNG for PIL images and arrays.
        suffix: of the format found in the bytes, such as ".jpg"; "" where it is not known.
        notes: what was changed before sending, in words for people.
        hidden: whether the label leaves out a password that the URL has.
        embedded: whether the label is only a name: the image lay in a dataset or an archive.
    """

    label: str
    url: str | None
    data: bytes | None
    suffix: str
    notes: tuple[str, ...] = ()
    hidden: bool = False
    embedded: bool = False


@dataclass(frozen=True, slots=True)
class ArchivedPicture:
    """An image in an archive, which is unpacked when its turn comes.

    Attributes:
        label: its name.
        load: returns its bytes, at most MAX_BYTES + 1; called each time that they are needed.
    """

    label: str
    load: Callable[[], bytes]


def read_picture(source: Any) -> Picture:
    """Return any image ready to be sent; local ones are opened and checked right away.

    Args:
        source: an http(s) URL (not fetched), a `data:` URL, base64, a path or `file:` URL, an
            address in a store (s3://, memory:// ...: `media/stores.py`), bytes, an open binary
            file, a PIL image, a numpy array (H×W, H×W×1, ×3 or ×4), `sample:NAME`, or an image of
            a dataset, {"bytes": ..., "path": ...}.

    Raises:
        PictureError: it cannot be read, is too large or is not an image.
        UnknownNameError: there is no such sample.

    Example:
        read_picture("sample:astronaut").suffix
    """
    for fits, read in _READERS:
        if fits(source):
            return read(source)
    kind = f"{type(source).__module__}.{type(source).__qualname__}".removeprefix("builtins.")
    hint = "pass its images one by one" if isinstance(source, (list, tuple, dict)) else _ACCEPTED
    raise PictureError(f"cannot read an image from a {kind}", hint=hint)


def decode(data: bytes) -> Image:
    """Return an image file's bytes as a PIL image, within the limits of `read_picture`.

    Raises:
        PictureError: they are no image, or hold too many pixels.
    """
    image = open_picture(data)
    try:
        image.load()
    except Exception as error:  # Pillow's decoders raise a dozen types on damaged files
        raise damaged("the image", error) from error
    return image


def suffix_of(data: bytes, name: str = "the image") -> str:
    """Return the usual suffix for an image file's bytes, such as ".png".

    Args:
        data: the bytes.
        name: what an error calls them.

    Raises:
        PictureError: they are no image, or hold too many pixels.
    """
    return _suffix(open_picture(data, name))


def samples() -> dict[str, Path]:
    """Return the paths of the sample photographs that come with the package, by name."""
    files = (f for f in SAMPLES.glob("*") if f.suffix in MIME_TYPES)
    return {f.stem: f for f in sorted(files)}


def _from_text(given: str) -> Picture:
    given = as_meant(given)
    text = given.strip()
    if (data := _bare_base64(text)) is not None:
        return _from_bytes(data, "base64 text")
    scheme, _, rest = text.partition(":")
    if scheme.lower() in _SCHEMES:
        return _SCHEMES[scheme.lower()](text)
    if is_store(text):
        return _from_store(text)
    if rest.startswith("//"):
        raise PictureError(f"cannot fetch images from {clip(text, 60)!r}", hint=_ACCEPTED)
    return _from_path(_typed_path(given))


def _from_url(url: str) -> Picture:
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        host = None
    if not host or re.search(r"[\s\x00-\x1f\x7f]", url):
        hint = "an address looks like https://example.org/cat.jpg, with %20 for a space"
        raise PictureError(f"{clip(url, 80)!r} is not a usable address", hint=hint)
    # The label goes into the history and into notebooks, where no password belongs.
    user, _, netloc = parts.netloc.rpartition("@")
    label = urlunsplit(parts._replace(netloc="***@" + netloc)) if user else url
    suffix = Path(parts.path).suffix.lower()
    known = suffix if suffix in MIME_TYPES else ""
    return Picture(label, url, None, known, hidden=bool(user))


def _from_data_url(url: str) -> Picture:
    head, comma, body = url.partition(",")
    if not comma:
        hint = "data:image/png;base64,iVBOR..."
        raise PictureError("the data: URL lacks a comma before its data", hint=hint)
    if len(body) > 3 * MAX_BYTES:
        raise too_large("the data: URL", len(body) * 3 // 4)
    if not re.search(r";\s*base64\s*$", head, re.IGNORECASE):
        return _from_bytes(unquote_to_bytes(body), "data URL")
    data = _from_base64(unquote(body) if "%" in body else body)
    if data is None:
        raise PictureError("the data: URL is not valid base64", hint="it may be cut off")
    if len(data) > MAX_BYTES:
        raise too_large("the data: URL", len(data))
    return _from_bytes(data, "data URL")


def _from_base64(text: str) -> bytes | None:
    """Return what a base64 text stands for, by either alphabet and with or without its end."""
    text = "".join(text.split()).rstrip("=").translate({ord("-"): "+", ord("_"): "/"})
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def _bare_base64(text: str) -> bytes | None:
    """Return the image file that a text is in base64, None for any other text."""
    if len(text) < 64 or not (_BASE64_PICTURE.match(text) and _BASE64.fullmatch(text)):
        return None
    return None if os.path.lexists(absolute(text)) else _from_base64(text)


def as_meant(given: str) -> str:
    """Return a text without quotes around it and without file://, unless a file has that name."""
    text = given.strip()
    if len(text) > 2 and _QUOTES.get(text[0]) == text[-1] and not os.path.lexists(absolute(given)):
        text = given = text[1:-1].strip()
    return path_of_address(text) or given


def path_of_address(text: str) -> str | None:
    """Return the path that a file: address stands for, None for any other text.

    Raises:
        PictureError: it names another computer, or no path.

    Example:
        >>> path_of_address("file:///pictures/my%20cat.png")
        '/pictures/my cat.png'
    """
    found = _FILE_ADDRESS.fullmatch(text.strip())
    if found is None:
        return None
    host, path = found["host"] or "", unquote(found["path"] or "")
    windows = os.name == "nt"
    if re.match(r"/?[A-Za-z][:|][/\\]", path):  # file:///C:/cat.png
        path = path.lstrip("/").replace("|", ":", 1)
    elif re.fullmatch(r"[A-Za-z]:", host):  # file://C:/cat.png
        host, path = "", host + path
    if host and host.lower() != "localhost":
        if not windows:
            raise PictureError(
                f"{clip(text, 80)!r} is a file on another computer",
                hint="for a file on this computer, write file:///folder/cat.png with three slashes",
            )
        path = f"//{host}{path}"
    if not path.strip("/\\") and path != "/":
        raise PictureError(f"{clip(text, 80)!r} names no file", hint="file:///folder/cat.png")
    return path.replace("/", "\\") if windows else path


def _from_sample(text: str) -> Picture:
    name = text.partition(":")[2]
    known = samples()
    stem = name.rpartition(".")[0] if name.endswith(tuple(MIME_TYPES)) else name
    if stem not in known:
        raise UnknownNameError("sample image called", name, known)
    return Picture(f"sample:{stem}", None, known[stem].read_bytes(), known[stem].suffix)


def _from_store(address: str) -> Picture:
    data = read_store(address, MAX_BYTES)
    return Picture(address, None, data, _suffix(open_picture(data, clip(address, 120))))


def _from_path(path: str | os.PathLike[str]) -> Picture:
    given = os.fsdecode(path)
    name = clip(given, 120)
    if not given:
        raise PictureError("the image's name is empty", hint=_ACCEPTED)
    label = absolute(given)
    try:
        data = _file_bytes(Path(label), name)
    except PictureError:
        raise
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise PictureError(f"{name} cannot be read: {reason}", hint=_ACCEPTED) from error
    return Picture(label, None, data, _suffix(open_picture(data, name)))


def absolute(path: str) -> str:
    """Return a path as the history keeps it: absolute, and with links as the caller wrote them."""
    return os.path.abspath(os.path.expanduser(path))


def name_of_unread(source: Any) -> str | None:
    """Return what to call an image that was not read: an absolute path, or what was typed.

    None if it has no name, such as an array.
    """
    if isinstance(source, ArchivedPicture):
        return _embedded_name(source.label)
    if is_embedded(source):
        return _embedded_name(source.get("path")) or None
    if not isinstance(source, (str, os.PathLike)):
        return None
    if _is_local(source):
        return visible(absolute(_typed_path(source)))
    text = str(source).partition("?")[0] if is_store(source) else str(source)
    return visible(clip(_PASSWORD.sub("//***@", text)))


def within(folder: str, source: Any) -> Any:
    """Return an image as it was meant in that working folder: a relative path with the folder."""
    if not _is_local(source):
        return source
    path = as_meant(source) if isinstance(source, str) else os.fsdecode(source)
    return path if path.startswith("~") else os.path.join(folder, path)


def _is_local(source: Any) -> bool:
    """Whether this is the path of a file."""
    if not isinstance(source, str):
        return isinstance(source, os.PathLike)
    with contextlib.suppress(PictureError):
        source = as_meant(source)
    if _bare_base64(source.strip()) is not None:
        return False
    scheme, _, rest = source.strip().partition(":")
    named = scheme.lower() in _SCHEMES or rest.startswith("//") or source.startswith("<")
    return bool(scheme) and not named


def _typed_path(given: str | os.PathLike[str]) -> str:
    """Return a path without spaces around it, unless there is a file of that very name."""
    text = as_meant(given) if isinstance(given, str) else os.fsdecode(given)
    exact = not isinstance(given, str) or os.path.lexists(absolute(text))
    return text if exact else text.strip()


def _file_bytes(file: Path, name: str) -> bytes:
    try:
        facts = file.stat()
    except FileNotFoundError:
        raise PictureError(f"there is no file {name}", hint=near_file(file, name)) from None
    if stat.S_ISDIR(facts.st_mode):
        hint = f"to use all of its images: --from {clip_path(name)}, or session.map in Python"
        raise PictureError(f"{name} is a folder", hint=hint)
    if not stat.S_ISREG(facts.st_mode):  # reading a pipe or a device may never end
        raise PictureError(f"{name} is not an ordinary file", hint=_ACCEPTED)
    if facts.st_size > MAX_BYTES:
        raise too_large(name, facts.st_size)
    return file.read_bytes()


def near_file(file: Path, name: str) -> str:
    """Return which file was meant by one that does not exist, or where it was looked for.

    Args:
        file: its path.
        name: what was typed.
    """
    try:
        with os.scandir(file.parent) as entries:
            names = [entry.name for _, entry in zip(range(2000), entries, strict=False)]
    except (OSError, ValueError):
        if _HOST.match(name):
            return f"for an address: https://{clip(name, 80)}"
        return f"the folder {clip(file.parent, 80)} does not exist"
    same = [each for each in names if Path(each).stem == file.stem and Path(each).suffix]
    same = [each for each in same if file.suffix in ("", *MIME_TYPES)][:3]
    if same:
        folder = os.path.dirname(name)
        return f"did you mean {' or '.join(os.path.join(folder, s) for s in sorted(same))}?"
    like_a_sample = name == file.name and file.suffix in ("", *MIME_TYPES)
    near = (near_sample(file.stem) if like_a_sample else "") or near_match(file.name, names)
    return near or f"looked in {clip(file.parent.absolute(), 120)}"


def near_sample(stem: str) -> str:
    """Return "did you mean sample:...?" for a file's name that is like a sample's, or ""."""
    known = [f"sample:{each}" for each in samples() if near_match(stem, [each])]
    return f"did you mean {' or '.join(known)}?" if known else ""


def _from_bytes(data: bytes | bytearray | memoryview, kind: str = "bytes") -> Picture:
    data = bytes(data)
    image = open_picture(data, f"the image in this {kind}".replace("this bytes", "these bytes"))
    return Picture(_label(kind, image, data), None, data, _suffix(image))


def _from_embedded(value: Mapping[str, Any]) -> Picture:
    """Return an image of a dataset; the path beside its bytes is its name."""
    path = value.get("path")
    if value.get("bytes") is None:
        return read_picture(path or "")
    found = _from_bytes(value["bytes"])
    name = _embedded_name(path)
    return replace(found, label=name, embedded=True) if name else found


def _embedded_name(path: Any) -> str:
    name = path.strip() if isinstance(path, str) else ""
    return visible(clip_path(_PASSWORD.sub("//***@", name)))


def _from_file(file: Any) -> Picture:
    try:
        data = file.read(MAX_BYTES + 1)
        if not data and file.seekable():  # just written: the position is at its end
            file.seek(0)
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise PictureError(f"cannot read the open file: {error}", hint=_ACCEPTED) from error
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise PictureError("the file is open in text mode", hint='open it with open(name, "rb")')
    return _from_bytes(data, "file")


def _from_image(image: Image, kind: str = "PIL", notes: tuple[str, ...] = ()) -> Picture:
    name = f"the {kind} image"
    said = list(notes)
    check_size(image.size, name)
    try:
        image.load()
        sent = upright(plain(image, said), image, said)
        out = io.BytesIO()
        sent.save(out, "PNG", compress_level=3)
    except Exception as error:  # a closed file, a truncated one, no pixels ...
        raise damaged(name, error) from error
    data = out.getvalue()
    if len(data) > MAX_BYTES:
        raise too_large(f"{name} as PNG", len(data))
    return Picture(_label(kind, sent, data), None, data, ".png", tuple(said))


def _from_array(source: Any) -> Picture:
    import numpy as np
    from PIL import Image

    try:
        array = np.asarray(source)
    except Exception as error:  # tensors on a graphics card, objects that pretend to be arrays
        raise PictureError(f"this is not an array of pixels: {error}", hint=_ACCEPTED) from error
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or array.size == 0 or array.shape[2:] not in ((), (3,), (4,)):
        raise PictureError(
            f"an array of shape {array.shape} is not an image", hint=_shape_hint(array)
        )
    check_size((array.shape[1], array.shape[0]), "the array")
    pixels, notes = _eight_bits(array)
    return _from_image(Image.fromarray(np.ascontiguousarray(pixels)), "array", notes)


def _shape_hint(array: Any) -> str:
    if array.ndim == 3 and array.shape[0] in (1, 3, 4) and array.shape[2] > 4:
        return "the channels come first: use np.moveaxis(array, 0, -1)"
    if array.ndim == 1 and array.dtype.kind not in "iufb":
        return _MANY
    if array.ndim == 4:
        return "this is a batch of images: pass one of them, array[0]"
    return "use height × width, or height × width × 3 (RGB) or 4 (RGBA)"


def _eight_bits(array: Any) -> tuple[Any, tuple[str, ...]]:
    """Return the array as uint8 and what was done to it; values are never cut off silently."""
    import numpy as np

    if array.dtype == bool:
        return array.astype(np.uint8) * 255, ()
    if array.ndim == 2 and array.dtype.kind in "iu" and (array.min(), array.max()) == (0, 1):
        return array.astype(np.uint8) * 255, (
            "values 0 and 1 were sent as 0 and 255, as for a mask",
        )
    if array.dtype == np.uint8:
        return array, ()
    if array.dtype == np.uint16:
        return (array // 257).astype(np.uint8), (
            "16-bit values were scaled from 0 to 65535 down to 0 to 255",
        )
    if array.dtype.kind in "OSU":
        raise PictureError("a table is not an image", hint=_MANY)
    if array.dtype.kind not in "iuf":
        raise PictureError(
            f"an array of {array.dtype} is not an image", hint="use uint8, or numbers from 0 to 1"
        )
    low, high = float(array.min()), float(array.max())
    most = 1 if array.dtype.kind == "f" else 255
    if not (low >= 0 and high <= most):  # a NaN fails both
        hint = f"{array.dtype} must be from 0 to {most}: scale it, then .astype('uint8')"
        raise PictureError(f"the array's values go from {low:g} to {high:g}", hint=hint)
    return (array * (255 / most) + 0.5).astype(np.uint8), ()


def _label(kind: str, image: Image, data: bytes) -> str:
    digest = hashlib.sha256(data).hexdigest()[:8]
    return f"<{kind} {image.width}x{image.height} {digest}>"


def _suffix(image: Image) -> str:
    return format_named(image.format).suffix


def is_image(source: Any) -> bool:
    """Whether this is an image of Pillow."""
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(source, module.Image)


_SCHEMES: dict[str, Callable[[str], Picture]] = {
    "http": _from_url,
    "https": _from_url,
    "data": _from_data_url,
    "sample": _from_sample,
}
# In this order: a PIL image has an array interface too.
_READERS: tuple[tuple[Callable[[Any], bool], Callable[[Any], Picture]], ...] = (
    (lambda s: isinstance(s, Picture), lambda s: s),
    (is_embedded, _from_embedded),
    (
        lambda s: isinstance(s, ArchivedPicture),
        lambda s: _from_embedded({"bytes": s.load(), "path": s.label}),
    ),
    (lambda s: isinstance(s, str), _from_text),
    (lambda s: isinstance(s, (bytes, bytearray, memoryview)), _from_bytes),
    (lambda s: isinstance(s, os.PathLike), _from_path),
    (is_image, _from_image),
    (lambda s: hasattr(s, "__array__") and not isinstance(s, type), _from_array),
    (lambda s: callable(getattr(s, "read", None)) and not isinstance(s, type), _from_file),
)
