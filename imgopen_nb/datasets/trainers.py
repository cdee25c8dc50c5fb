"""What each trainer reads: a row for each, with what it does with odd files, and how it is told.

The rules are those of the trainers' own sources and documentation. One line, in UTF-8 without a
byte order mark, without a final line break and never empty, is read alike by all of them.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import UnknownNameError
from ..media.formats import FILE_SUFFIXES
from ..text import clip

CAPTION_FILES, METADATA, LISTED, SHARDS = "caption files", "metadata", "list", "shards"
METADATA_FILE = "metadata.jsonl"
OTHER_METADATA = ("metadata.csv", "metadata.parquet")  # two formats at once are refused
RESOLUTION = 1024  # pixels, in configurations: a start that people change
_COMMON = frozenset({".jpg", ".jpeg", ".png", ".webp"})
_KOHYA = _COMMON | {".bmp"}
_YAML_BREAKS = "\x85\u2028\u2029\ufeff"


@dataclass(frozen=True)
class Setup:
    """Where a dataset lies that a trainer is told of.

    Attributes:
        name: the name of the dataset, a single word.
        home: the folder of the configuration: an absolute path, or an address.
        folders: those of the images, in the same form.
        rows: for layouts that list images: the name of each relative to `home`, and its caption.
    """

    name: str
    home: str
    folders: Sequence[str]
    rows: Sequence[tuple[str, str]] = ()

    def at(self, name: str) -> str:
        """Return the place of a file in the folder of the configuration."""
        return f"{self.home.rstrip('/')}/{name}" if "://" in self.home else self._path(name)

    def _path(self, name: str) -> str:
        return os.path.join(self.home, name)


@dataclass(frozen=True)
class Trainer:
    """One trainer, or one format.

    The sentences have the trainer as their subject: "stops with an error". One is "" where the
    matter does not concern it, as line breaks in a caption file that it does not read.

    Attributes:
        name: as it is typed.
        title: its name in sentences.
        reads: what it reads, as a sentence.
        layout: CAPTION_FILES (cat.txt beside cat.png), METADATA (metadata.jsonl above the
            images), LISTED (one JSON file) or SHARDS (tar files).
        suffixes: of the images that it takes, in small letters.
        mixed_case: whether it takes suffixes such as ".Png" as well.
        line_breaks: what it does with line breaks in a caption file.
        empty: with an empty caption file.
        bom: with a byte order mark.
        encoding: with a file that is not UTF-8.
        missing: with an image without a caption.
        unread: with an image of a format that it does not take.
        configuration: the name of its configuration, "" if it has none.
        content: returns the text of the configuration for a setup and the command line.
        command: returns the command line.
    """

    name: str
    title: str
    reads: str
    layout: str
    suffixes: frozenset[str]
    mixed_case: bool
    line_breaks: str
    empty: str
    bom: str
    encoding: str
    missing: str
    unread: str
    configuration: str
    content: Callable[[Setup, str], str]
    command: Callable[[Setup], str]

    @property
    def caption_files(self) -> bool:
        """Whether it reads a text file beside each image."""
        return self.layout == CAPTION_FILES

    def takes(self, name: str) -> bool:
        """Whether it takes an image file of this name.

        Example:
            >>> TRAINERS["kohya"].takes("cat.PNG"), TRAINERS["kohya"].takes("cat.gif")
            (True, False)
        """
        suffix = os.path.splitext(name)[1]
        usual = self.mixed_case or suffix in (suffix.lower(), suffix.upper())
        return usual and suffix.lower() in self.suffixes


def trainer_named(name: str) -> Trainer:
    """Return a trainer by its name.

    Raises:
        UnknownNameError: there is none; similar ones are in the hint.
    """
    found = TRAINERS.get(str(name).lower())
    if found is None:
        raise UnknownNameError("trainer", clip(name), TRAINERS)
    return found


# The commands.


def _line(*words: str) -> str:
    """Return a command line; words in capitals, such as MODEL, are for the user to fill in."""
    return shlex.join(words)


def _kohya_command(setup: Setup) -> str:
    return _line(
        "accelerate", "launch", "train_network.py",
        "--dataset_config", setup.at("dataset.toml"),
        "--pretrained_model_name_or_path", "MODEL", "--network_module", "networks.lora",
        "--output_dir", "output",
    )  # fmt: skip


def _musubi_command(setup: Setup) -> str:
    return _line(
        "accelerate", "launch", "src/musubi_tuner/qwen_image_train_network.py",
        "--dataset_config", setup.at("dataset.toml"), "--dit", "MODEL",
        "--network_module", "networks.lora_qwen_image", "--output_dir", "output",
    )  # fmt: skip


def _diffusers_command(setup: Setup) -> str:
    return _line(
        "accelerate", "launch", "train_text_to_image_lora.py", "--train_data_dir", setup.home,
        "--image_column", "image", "--caption_column", "text",
        "--pretrained_model_name_or_path", "MODEL", "--output_dir", "output",
    )  # fmt: skip


def _imagefolder_command(setup: Setup) -> str:
    # With data_dir, an image called test.png would be all that is read.
    files = json.dumps({"train": setup.at("**")}, ensure_ascii=False)
    return _loaded(f'load_dataset("imagefolder", data_files={files}, split="train")')


def _webdataset_command(setup: Setup) -> str:
    files = json.dumps(setup.at("*.tar"), ensure_ascii=False)
    return _loaded(f'load_dataset("webdataset", data_files={files}, split="train")')


def _loaded(call: str) -> str:
    return _line("python", "-c", f"from datasets import load_dataset; print({call})")


def _onetrainer_command(setup: Setup) -> str:
    concepts = json.dumps(setup.at("concepts.json"), ensure_ascii=False)
    command = _line("python", "scripts/train.py", "--config-path", "CONFIG.json")
    return f'{command}  # with "concept_file_name": {concepts} in it'


def _ai_toolkit_command(setup: Setup) -> str:
    return _line("python", "run.py", setup.at("ai-toolkit.yaml"))


def _simpletuner_command(setup: Setup) -> str:
    return _line(
        "simpletuner", "train", f"--data_backend_config={setup.at('multidatabackend.json')}"
    )


def _llava_command(setup: Setup) -> str:
    return _line(
        "deepspeed", "llava/train/train_mem.py", "--data_path", setup.at("llava.json"),
        "--image_folder", setup.home, "--model_name_or_path", "MODEL", "--output_dir", "output",
    )  # fmt: skip


# The configurations.


def _commented(comment: str, text: str) -> str:
    """Return a text with a comment above, of as many lines as it has."""
    return "".join(f"# {line}\n" for line in comment.splitlines()) + "\n" + text


def _toml(comment: str, *tables: tuple[str, Mapping[str, Any]]) -> str:
    """Return TOML of tables with their headings, as the trainers' own examples have them.

    kohya's scripts read it by a parser that knows no tables within a line.
    """
    import tomli_w

    text = "\n".join(f"{heading}\n{tomli_w.dumps(table)}" for heading, table in tables)
    return _commented(comment, text)


def _kohya_file(setup: Setup, command: str) -> str:
    subsets = [
        ("[[datasets.subsets]]", {"image_dir": folder, "num_repeats": 1})
        for folder in setup.folders
    ]
    return _toml(
        f"Written by imgopen_nb for kohya's sd-scripts.\n{command}",
        ("[general]", {"caption_extension": ".txt"}),
        ("[[datasets]]", {"resolution": RESOLUTION, "batch_size": 1, "enable_bucket": True}),
        *subsets,
    )


def _musubi_file(setup: Setup, command: str) -> str:
    several = len(setup.folders) > 1
    datasets = [
        (
            "[[datasets]]",
            {
                "image_directory": folder,
                # One for each set: files of another set in it would be taken for this one's.
                "cache_directory": setup.at(f"cache-{number}" if several else "cache"),
                "num_repeats": 1,
            },
        )
        for number, folder in enumerate(setup.folders, 1)
    ]
    general = {
        "resolution": [RESOLUTION, RESOLUTION],
        "caption_extension": ".txt",
        "batch_size": 1,
        "enable_bucket": True,
    }
    before = (
        "Before that, run the scripts that cache latents and text encoder outputs of the same "
        "model."
    )
    comment = f"Written by imgopen_nb for musubi-tuner. {before}\n{command}"
    return _toml(comment, ("[general]", general), *datasets)


def _ai_toolkit_file(setup: Setup, command: str) -> str:
    datasets = [
        {"folder_path": folder, "caption_ext": "txt", "resolution": [512, 768, RESOLUTION]}
        for folder in setup.folders
    ]
    process = {
        "type": "sd_trainer",
        "training_folder": "output",
        "device": "cuda:0",
        "network": {"type": "lora", "linear": 16, "linear_alpha": 16},
        "datasets": datasets,
        "train": {"batch_size": 1, "steps": 2000, "optimizer": "adamw8bit", "lr": 0.0001},
        "model": {"name_or_path": "MODEL"},
    }
    content = {"job": "extension", "config": {"name": setup.name, "process": [process]}}
    # JSON is YAML, but for a few characters that are line breaks there.
    text = _json(content)
    for char in _YAML_BREAKS:
        text = text.replace(char, f"\\u{ord(char):04x}")
    return _commented(f"Written by imgopen_nb for ai-toolkit.\n{command}", text)


def _onetrainer_file(setup: Setup, command: str) -> str:
    return _json(
        [
            {
                "name": setup.name if at == 0 else f"{setup.name}-{at + 1}",
                "path": folder,
                "enabled": True,
                "include_subdirectories": False,
                "text": {"prompt_source": "sample"},
            }
            for at, folder in enumerate(setup.folders)
        ]
    )


def _simpletuner_file(setup: Setup, command: str) -> str:
    names = [
        setup.name if at == 0 else f"{setup.name}-{at + 1}" for at in range(len(setup.folders))
    ]
    pictures: list[dict[str, Any]] = [
        {
            "id": name,
            "type": "local",
            "dataset_type": "image",
            "instance_data_dir": folder,
            "caption_strategy": "textfile",
            "resolution": RESOLUTION,
            "resolution_type": "pixel_area",
            "crop": False,
            "cache_dir_vae": f"cache/vae/{name}",
            "repeats": 0,
        }
        for name, folder in zip(names, setup.folders, strict=True)
    ]
    texts = {
        "id": f"{setup.name}-text",
        "type": "local",
        "dataset_type": "text_embeds",
        "default": True,
        "cache_dir": f"cache/text/{setup.name}",
    }
    return _json([*pictures, texts])


def _metadata_file(setup: Setup, command: str) -> str:
    rows = ({"file_name": name, "text": caption} for name, caption in setup.rows)
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _llava_file(setup: Setup, command: str) -> str:
    return _json(
        [
            {
                "id": f"{number:09}",
                "image": name,
                "conversations": [
                    {"from": "human", "value": "<image>\nDescribe the image."},
                    {"from": "gpt", "value": caption},
                ],
            }
            for number, (name, caption) in enumerate(setup.rows)
        ]
    )


def _no_file(setup: Setup, command: str) -> str:
    return ""


def _json(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"


# The rows.

_ERROR = "stops with an error"
_OUT = "skips it silently"
_KEPT = "reads the mark as the first character of the caption"
_PILLOW = FILE_SUFFIXES - {".avif"}  # what datasets' imagefolder lists has no AVIF
_UNLISTED = "skips it: it is not in the list"

TRAINERS: dict[str, Trainer] = {
    row.name: row
    for row in (
        Trainer(
            "kohya", "kohya's sd-scripts",
            "cat.txt beside cat.png, if the configuration sets caption_extension = \".txt\"",
            CAPTION_FILES, _KOHYA, False,
            line_breaks="reads the first line only",
            empty=_ERROR,
            bom=_KEPT,
            encoding=_ERROR,
            missing="warns, and trains on the image with an empty caption",
            unread=_OUT,
            configuration="dataset.toml", content=_kohya_file, command=_kohya_command,
        ),
        Trainer(
            "onetrainer", "OneTrainer",
            "cat.txt beside cat.png; each line is a separate caption",
            CAPTION_FILES, _KOHYA | {".tif", ".tiff"}, True,
            line_breaks="reads each line as a separate caption, and picks one at each step",
            empty="trains on the image with an empty caption",
            bom=_KEPT,
            encoding=_ERROR,
            missing="trains on the image with an empty caption",
            unread=_OUT,
            configuration="concepts.json", content=_onetrainer_file, command=_onetrainer_command,
        ),
        Trainer(
            "diffusers", "diffusers",
            "metadata.jsonl above the images, with file_name and text",
            METADATA, _PILLOW, True,
            line_breaks="", empty="", bom="", encoding="",
            missing=_UNLISTED,
            unread=_OUT,
            configuration=METADATA_FILE, content=_metadata_file, command=_diffusers_command,
        ),
        Trainer(
            "imagefolder", "imagefolder",
            "metadata.jsonl above the images, with file_name and text",
            METADATA, _PILLOW, True,
            line_breaks="", empty="", bom="", encoding="",
            missing=_UNLISTED,
            unread=_OUT,
            configuration=METADATA_FILE, content=_metadata_file, command=_imagefolder_command,
        ),
        Trainer(
            "ai-toolkit", "ai-toolkit",
            "cat.txt beside cat.png, read as one caption; [trigger] in it is replaced",
            CAPTION_FILES, _COMMON, True,
            line_breaks="keeps line breaks in the caption",
            empty="trains on the image with an empty caption",
            bom=_KEPT,
            encoding=_ERROR,
            missing="trains on the image with an empty caption, or the one in default.txt",
            unread=_OUT,
            configuration="ai-toolkit.yaml", content=_ai_toolkit_file,
            command=_ai_toolkit_command,
        ),
        Trainer(
            "simpletuner", "SimpleTuner",
            "cat.txt beside cat.png; each line is a separate caption",
            CAPTION_FILES, FILE_SUFFIXES, True,
            line_breaks="reads each line as a separate caption, and picks one at each step",
            empty="trains on the image with an empty caption",
            bom=_KEPT,
            encoding="reports an error, and has no caption for the image",
            missing=_ERROR,
            unread=_OUT,
            configuration="multidatabackend.json", content=_simpletuner_file,
            command=_simpletuner_command,
        ),
        Trainer(
            "musubi", "musubi-tuner",
            "cat.txt beside cat.png, read as one caption, if the configuration sets "
            "caption_extension",
            CAPTION_FILES, _KOHYA, False,
            line_breaks="keeps line breaks in the caption",
            empty="trains on the image with an empty caption",
            bom=_KEPT,
            encoding=_ERROR,
            missing=_ERROR,
            unread=_OUT,
            configuration="dataset.toml", content=_musubi_file, command=_musubi_command,
        ),
        Trainer(
            "llava", "LLaVA",
            "one JSON list with images and conversations",
            LISTED, FILE_SUFFIXES, True,
            line_breaks="", empty="", bom="", encoding="",
            missing=_UNLISTED,
            unread=_ERROR,
            configuration="llava.json", content=_llava_file, command=_llava_command,
        ),
        Trainer(
            "webdataset", "WebDataset",
            "tar files; files of the same image share their name up to the first dot",
            SHARDS, FILE_SUFFIXES, True,
            line_breaks="", empty="", bom="", encoding="",
            missing="skips it: it is not in the shards",
            unread=_ERROR,
            configuration="", content=_no_file, command=_webdataset_command,
        ),
    )
}  # fmt: skip
