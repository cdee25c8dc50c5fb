"""How each trainer reads a dataset, written down from its own source and documentation.

Nothing here knows the product. Each reader takes what the trainer is given (a configuration, a
folder) and returns the captions of the images that it finds, by the image's path.
"""

from __future__ import annotations

import glob
import json
import os
import tarfile
import tomllib
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

KOHYA = (".png", ".jpg", ".jpeg", ".webp", ".bmp")  # in small letters or in capitals
ONETRAINER = {".bmp", ".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp"}
AI_TOOLKIT = (".jpg", ".jpeg", ".png", ".webp")
IMAGEFOLDER = {".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff"}  # and others


class ReaderError(Exception):
    """The trainer stops with an error."""


def _globbed(folder: str) -> list[str]:
    found = []
    for suffix in KOHYA:
        for each in (suffix, suffix.upper()):
            found += glob.glob(os.path.join(glob.escape(folder), "*" + each))
    return sorted(set(found))


def kohya(configuration: Path) -> dict[str, str]:
    """The first line of the caption file, stripped; an empty file stops the run."""
    content = tomllib.loads(configuration.read_text("utf-8"))
    found = {}
    for dataset in content["datasets"]:
        for subset in dataset["subsets"]:
            extension = _inherited("caption_extension", ".caption", subset, dataset, content)
            if "resolution" not in dataset and "resolution" not in content["general"]:
                raise ReaderError("no resolution")
            for picture in _globbed(subset["image_dir"]):
                found[picture] = _kohya_caption(picture, extension)
    return found


def _inherited(name: str, default: str, *levels: dict[str, Any]) -> str:
    levels = (*levels[:-1], levels[-1].get("general", {}))
    return next((str(level[name]) for level in levels if name in level), default)


def _kohya_caption(picture: str, extension: str) -> str:
    base = os.path.splitext(picture)[0]
    parts = base.split("_")
    names = [base, "_".join(parts[:-4])] if len(parts) >= 5 else [base]
    for name in names:
        if os.path.isfile(name + extension):
            with open(name + extension, encoding="utf-8") as file:
                lines = file.readlines()
            if not lines:
                raise ReaderError("the caption file is empty")
            return lines[0].strip()
    return ""  # with a warning


def musubi(configuration: Path) -> dict[str, str]:
    """The whole file, stripped; an image without a file stops the run."""
    content = tomllib.loads(configuration.read_text("utf-8"))
    found, caches = {}, set()
    for dataset in content["datasets"]:
        extension = _inherited("caption_extension", "", dataset, content)
        caches.add(dataset["cache_directory"])
        for picture in _globbed(dataset["image_directory"]):
            path = os.path.splitext(picture)[0] + extension
            with open(path, encoding="utf-8") as file:
                found[picture] = file.read().strip()
    if len(caches) != len(content["datasets"]):
        raise ReaderError("two sets with one cache")
    return found


def onetrainer(concepts: Path) -> dict[str, list[str]]:
    """Each line of the file that is not blank is a caption; one is drawn at each step."""
    found = {}
    for concept in json.loads(concepts.read_text("utf-8")):
        if not concept["enabled"] or concept["text"]["prompt_source"] != "sample":
            continue
        for name in sorted(os.listdir(concept["path"])):
            base, suffix = os.path.splitext(os.path.join(concept["path"], name))
            if suffix.lower() not in ONETRAINER:
                continue
            lines = []
            if os.path.exists(base + ".txt"):
                with open(base + ".txt", encoding="utf-8") as file:
                    lines = [line.strip() for line in file]
            found[base + suffix] = [line for line in lines if line] or [""]
    return found


def ai_toolkit(configuration: Path) -> dict[str, str]:
    """The whole file as it is; no file is an empty caption."""
    content = yaml.safe_load(configuration.read_text("utf-8"))
    found = {}
    for process in content["config"]["process"]:
        for dataset in process["datasets"]:
            extension = "." + dataset.get("caption_ext", "txt").lstrip(".")
            for name in sorted(os.listdir(dataset["folder_path"])):
                picture = os.path.join(dataset["folder_path"], name)
                if name.lower().endswith(AI_TOOLKIT):
                    path = os.path.splitext(picture)[0] + extension
                    found[picture] = ""
                    if os.path.exists(path):
                        with open(path, encoding="utf-8") as file:
                            found[picture] = file.read()
    return found


def simpletuner(configuration: Path) -> dict[str, str | list[str]]:
    """The file as it is; with a line break, each line that is not empty is a caption."""
    backends = json.loads(configuration.read_text("utf-8"))
    if (
        sum(b.get("dataset_type") == "text_embeds" and b.get("default", False) for b in backends)
        != 1
    ):
        raise ReaderError("one place for text embeds is the default")
    if len({backend["id"] for backend in backends}) != len(backends):
        raise ReaderError("two sets with one name")
    Image.init()
    suffixes = {suffix for suffix, kind in Image.EXTENSION.items() if kind in Image.OPEN}
    found: dict[str, str | list[str]] = {}
    for backend in backends:
        if backend.get("dataset_type", "image") != "image":
            continue
        assert backend["type"] == "local"
        assert backend["caption_strategy"] == "textfile"
        for root, _, names in os.walk(backend["instance_data_dir"]):
            for name in sorted(names):
                picture = os.path.join(root, name)
                base, suffix = os.path.splitext(picture)
                if suffix.lower() in suffixes:
                    text = Path(base + ".txt").read_bytes().decode("utf-8")
                    lines = [line for line in text.split("\n") if line]
                    found[picture] = lines if "\n" in text else text
    return found


def imagefolder(folder: Path) -> dict[str, str]:
    """The images that the metadata above them lists; paths are relative to it."""
    found = {}
    kinds = {path.name for path in folder.rglob("metadata.*")}
    if len(kinds) != 1:
        raise ReaderError(f"metadata in several formats: {kinds}")
    for metadata in folder.rglob("metadata.jsonl"):
        for line in metadata.read_bytes().split(b"\n"):
            if not line:
                continue
            row = json.loads(line.decode("utf-8"))
            name = row["file_name"]
            if os.path.isabs(name) or ".." in name.split("/") or "://" in name:
                raise ReaderError(name)
            picture = metadata.parent / name
            if not picture.is_file():
                raise ReaderError(f"{name} is not there")
            if picture.suffix.lower() in IMAGEFOLDER:
                found[str(picture)] = row["text"]
    return found


def diffusers(folder: Path) -> dict[str, str]:
    """What imagefolder reads, if the columns are called image and text."""
    return imagefolder(folder)


def llava(data: Path, folder: Path) -> dict[str, str]:
    """One JSON list; the image is named in the question, and the caption is the answer."""
    found = {}
    for row in json.loads(data.read_text("utf-8")):
        question, answer = row["conversations"]
        if (question["from"], answer["from"]) != ("human", "gpt"):
            raise ReaderError("the first to speak is a person")
        if question["value"].count("<image>") != 1:
            raise ReaderError("there is one place for the image")
        found[os.path.join(folder, row["image"])] = answer["value"]
    return found


def webdataset(folder: Path) -> list[dict[str, bytes]]:
    """Files that follow each other belong together as far as their names agree to the first dot."""
    found: list[dict[str, bytes]] = []
    for shard in sorted(folder.glob("*.tar")):
        key = None
        with tarfile.open(shard) as archive:
            for member in archive:
                base, _, extension = os.path.basename(member.name).partition(".")
                base = os.path.join(os.path.dirname(member.name), base)
                file = archive.extractfile(member)
                assert file is not None
                if base != key:
                    found.append({"__key__": base.encode()})
                    key = base
                if extension.lower() in found[-1]:
                    raise ReaderError(f"{base} has two {extension}")
                found[-1][extension.lower()] = file.read()
    return found
