"""Folders of images that change at random, as people copy, rename, replace and link them."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import random
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

SUFFIXES = (".png", ".jpg")
STEP = 25  # between two values of a channel: the JPEG of a thumbnail tells colours apart
NAMES = (
    "1.png", "2.png", "cat.png", "Cat.png", "CAT.PNG", "cat.jpg", "photo...png", ".hidden.png",
    "a b.png", " a b.png", "größe.png", "gro\u0308ße.png", "猫.png", "shot[1].png", "shot1.png",
    "Shot 10:11:12.png", "100%.png", "~cat.png", "cat.txt.png", "-o.png", "#1;x.png",
    "n" * 246 + ".png",
)  # fmt: skip
FOLDERS = ("A", "A/set", "A/images/deep", "B", "B/set", "B/images/deep")
LEAVES = tuple(folder for folder in FOLDERS if "/" in folder)
MOST_FILES = 24
OLD = 1_700_000_000


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Folders:
    """Two working folders, A and B, with images of plain colours; the truth is on the disk.

    Attributes:
        root: holds both.
        colours: the colour of each image that was ever made, by the SHA-256 of its bytes.
        seen: each (path, SHA-256) that there ever was.
    """

    def __init__(self, root: Path, dice: random.Random) -> None:
        self.root, self.dice = root, dice
        self.colours: dict[str, tuple[int, ...]] = {}
        self.seen: set[tuple[str, str]] = set()
        self._made = 0
        for folder in FOLDERS:
            (root / folder).mkdir(parents=True)

    # What there is.

    def folders(self) -> list[Path]:
        """Return all folders with images, links to folders among them."""
        own = [self.root / folder for folder in FOLDERS]
        links = [each for top in "AB" for each in sorted((self.root / top).glob("link*"))]
        return own + [link for link in links if link.is_dir()]

    def paths(self) -> list[str]:
        """Return the paths of all images that can be read."""
        return [
            str(path)
            for folder in self.folders()
            for path in sorted(folder.iterdir())
            if path.suffix.lower() in SUFFIXES and path.is_file()
        ]

    def texts(self) -> dict[str, bytes]:
        """Return the content of all text files, by their real path."""
        found = (path for path in self.root.rglob("*") if path.suffix in (".txt", ".json"))
        return {os.path.realpath(path): path.read_bytes() for path in found if path.is_file()}

    def sha(self, path: str) -> str | None:
        """Return which image lies at a path, None if there is none."""
        with contextlib.suppress(OSError):
            return sha256(Path(path).read_bytes())
        return None

    def look(self) -> None:
        """Take down what lies where."""
        self.seen.update((path, self.sha(path) or "") for path in self.paths())

    # What can be done.

    def new_bytes(self) -> bytes:
        """Return a new image: of any colour, or of the same pixels as another one."""
        if self.colours and self.dice.random() < 0.2:
            colour = self.dice.choice(list(self.colours.values()))
        else:
            colour = tuple(STEP * self.dice.randrange(11) for _ in range(3))
        self._made += 1
        return self.encoded(colour, f"{self._made:08}")

    def encoded(self, colour: tuple[int, ...], text: str) -> bytes:
        """Return an image file; all PNG have the same size in bytes."""
        out, image = io.BytesIO(), Image.new("RGB", (6, 6), colour)
        if self.dice.random() < 0.8:
            info = PngInfo()
            info.add_text("number", text)
            image.save(out, "PNG", compress_level=0, pnginfo=info)
        else:
            image.save(out, "JPEG", quality=95, comment=text)
        data = out.getvalue()
        self.colours[sha256(data)] = colour
        return data

    def place(self) -> Path:
        """Return a path for an image, perhaps that of another one."""
        return self.dice.choice(self.folders()) / self.dice.choice(NAMES)

    def free_place(self) -> Path | None:
        """Return the path of a new image, None if there are enough."""
        if len(self.paths()) >= MOST_FILES:
            return None
        path = self.place()
        if path.is_symlink() and not path.exists():  # a link to an image that is gone
            path.unlink()
        return None if os.path.lexists(path) else path

    def some(self) -> str | None:
        """Return an image."""
        found = self.paths()
        return self.dice.choice(found) if found else None

    def write(self) -> None:
        if path := self.free_place():
            path.write_bytes(self.new_bytes())

    def copy(self) -> None:
        if (path := self.free_place()) and (source := self.some()):
            path.write_bytes(Path(source).read_bytes())

    def replace(self, path: str | None = None) -> None:
        """Other bytes under the same name, often of the same size and time."""
        path = path or self.some()
        if not path:
            return
        data = self.new_bytes()
        if self.dice.random() < 0.3 and (other := self.some()):
            data = Path(other).read_bytes()
        before = os.stat(path)
        if self.dice.random() < 0.5:
            Path(path).write_bytes(data)
        else:
            draft = Path(path).with_name("draft")
            draft.write_bytes(data)
            draft.replace(path)
        if self.dice.random() < 0.7:
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    def move(self) -> None:
        """Rename or move an image, perhaps over another one, with its text file or without."""
        path, target = self.some(), self.place()
        if not path or (target.is_symlink() and not target.exists()):
            return
        source = Path(path)
        if self.dice.random() < 0.5:
            target = target.parent / source.name
        os.replace(source, target)
        text = source.with_suffix(".txt")
        if self.dice.random() < 0.5 and text.is_file():
            os.replace(text, target.with_suffix(".txt"))

    def swap(self) -> None:
        """Exchange the names of two images."""
        one, two = self.some(), self.some()
        if one and two and not os.path.samefile(one, two):
            draft = self.root / "draft"
            for source, target in ((one, draft), (two, one), (draft, two)):
                os.replace(source, target)

    def swap_folders(self) -> None:
        one, two = self.dice.sample(LEAVES, 2)
        draft = self.root / "draft"
        for source, target in ((one, draft), (two, one), (draft, two)):
            os.rename(self.root / source, self.root / target)

    def delete(self) -> None:
        if path := self.some():
            os.unlink(path)

    def link(self) -> None:
        """A symbolic or a hard link to an image."""
        if (path := self.free_place()) and (source := self.some()):
            link = self.dice.choice((os.symlink, os.link))
            link(os.path.realpath(source), path)

    def link_folder(self) -> None:
        """Make a link to a folder, or turn it to another one."""
        link = self.root / self.dice.choice("AB") / f"link{self.dice.randrange(2)}"
        link.unlink(missing_ok=True)
        link.symlink_to(self.root / self.dice.choice(LEAVES))
