"""`%imgopen dataset` and `imgopen dataset`: each action, from a folder to files and back."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.history import HistoryAccessor
from IPython.core.interactiveshell import InteractiveShell
from PIL import Image

import imgopen_nb as imgopen
from imgopen_nb.cli import main
from imgopen_nb.commands.datasets import ABOUT
from imgopen_nb.commands.registry import actions, find_in
from imgopen_nb.datasets.dataset import Dataset
from imgopen_nb.datasets.trainers import TRAINERS
from imgopen_nb.errors import ImgOpenError
from imgopen_nb.images.picture import samples
from imgopen_nb.session import Session
from imgopen_nb.syntax.parser import HelpAsked


@pytest.fixture(scope="module")
def pictures() -> dict[str, bytes]:
    """Three small photographs, and one more."""
    made = {}
    for name in ("chelsea", "coffee", "rocket"):
        with Image.open(samples()[name]) as image:
            image.thumbnail((96, 96))
            out = io.BytesIO()
            image.save(out, "PNG")
            made[f"{name}.png"] = out.getvalue()
    return made


@pytest.fixture
def folder(
    cached: None, local: Session, pictures: dict[str, bytes], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:  # fmt: skip
    """A working folder with photos/; chelsea.png has a caption file."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for name, data in pictures.items():
        (photos / name).write_bytes(data)
    (photos / "chelsea.txt").write_text("my cat, tabby_cat, cat\n")
    monkeypatch.chdir(tmp_path)
    return photos


@pytest.fixture
def shell(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    monkeypatch.setattr(HistoryAccessor, "enabled", False)
    made = InteractiveShell()
    made.run_line_magic("load_ext", "imgopen_nb")
    yield made
    made.run_line_magic("unload_ext", "imgopen_nb")


def magic(shell: InteractiveShell, line: str) -> Any:
    return shell.run_line_magic("imgopen", f"dataset {line}")


@pytest.fixture
def terminal(folder: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Runs `imgopen dataset ...`, and returns the exit code and what was printed."""

    def run(*words: str) -> tuple[int, str]:
        capsys.readouterr()
        code = main(["dataset", *words])
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


def captions(ds: Dataset) -> dict[str, str]:
    return {Path(entry.image).stem: entry.caption for entry in ds.entries}


# From end to end.


def test_a_folder_becomes_files_by_magics_and_each_step_comes_back(
    shell: InteractiveShell, folder: Path, capsys: pytest.CaptureFixture[str]
):
    plan = magic(shell, "describe photos --models clip --dry-run")
    assert plan.new == 3
    magic(shell, "describe photos --models clip,deepdanbooru --out ds")
    ds = shell.user_ns["ds"]
    assert ds.models == ["clip", "deepdanbooru"]
    assert magic(shell, "reject {ds} --only 'coff*' --note dark").changed == 1
    assert magic(shell, "merge photos --how sentence+tags").changed == 1
    assert captions(ds)["chelsea"] == "my cat, tabby_cat, cat"
    capsys.readouterr()
    magic(shell, "tags photos --spaces --remove cat --first ohwx")
    assert "Next: check the captions: ds.check(" in capsys.readouterr().out
    assert captions(ds)["chelsea"] == "ohwx, my cat, tabby cat"
    assert captions(ds)["rocket"].startswith(("ohwx, a ", "ohwx, an "))

    findings = magic(shell, "check photos --trainer kohya --trigger ohwx")
    assert not (findings.severity == "error").any()
    audit = magic(shell, "audit photos --trigger ohwx --class-word cat")
    assert audit.trigger == "ohwx"
    preview = magic(shell, "preview photos --trainer kohya --overwrite")
    assert preview.head == "3 files: 2 new, 1 changed"
    written = magic(shell, "write photos --trainer kohya --overwrite")
    assert (folder / "rocket.txt").read_text() == captions(ds)["rocket"]
    assert "--dataset_config" in written.command
    steps = magic(shell, "steps photos")
    assert steps.name.tolist()[-1] == "write for kohya"

    for _ in steps.index:
        magic(shell, "undo photos")
    said = capsys.readouterr().out
    assert "undone: write for kohya: 3 files as before" in said
    assert "undone: reject 1 image (dark): 1 verdict as before" in said
    assert (folder / "chelsea.txt").read_text() == "my cat, tabby_cat, cat\n"
    assert not (folder / "rocket.txt").exists()
    magic(shell, "undo photos")
    assert capsys.readouterr().out == "nothing to undo: all steps of photos are undone.\n"


def test_caption_is_the_short_form(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]):
    """It describes with all models and merges; captions that are there stay, unless told."""
    plan = shell.run_line_magic("imgopen", "caption photos --dry-run")
    assert plan.new == 6

    ds = shell.run_line_magic("imgopen", "caption photos --first ohwx")

    assert isinstance(ds, Dataset)
    assert ds.models == ["clip", "deepdanbooru"]
    assert captions(ds)["chelsea"] == "ohwx, my cat, tabby_cat, cat"
    assert captions(ds)["rocket"].startswith(("ohwx, a ", "ohwx, an "))
    assert "1 image already had a caption" in capsys.readouterr().out
    again = shell.run_line_magic("imgopen", "caption photos --first ohwx")
    assert captions(again) == captions(ds)
    replaced = shell.run_line_magic("imgopen", "caption photos --replace")
    assert captions(replaced)["chelsea"].startswith(("a ", "an "))


def test_caption_says_which_requests_failed(
    shell: InteractiveShell, folder: Path, capsys: pytest.CaptureFixture[str]
):
    (folder / "torn.png").write_bytes((folder / "rocket.png").read_bytes()[:200])

    ds = shell.run_line_magic("imgopen", "caption photos --models clip")

    assert "1 request failed: " in capsys.readouterr().out
    assert captions(ds)["rocket"].startswith(("a ", "an "))


def test_a_folder_becomes_files_on_the_command_line_and_each_step_comes_back(
    terminal: Callable[..., tuple[int, str]], folder: Path
):
    code, said = terminal("photos")
    assert (code, "3 kept · 2 without a caption" in said) == (0, True)
    assert "Next: describe 2 images: imgopen dataset describe photos" in said
    assert terminal("describe", "photos", "--models", "clip")[0] == 0
    assert "1 image changed" in terminal("reject", "photos", "--only", "coffee.png")[1]
    assert "1 image changed" in terminal("keep", "photos", "--only", "coffee.png")[1]
    assert "2 images changed" in terminal("merge", "photos", "--models", "clip")[1]
    assert "remove duplicate tags" in terminal("tags", "photos", "--dedupe", "--add", "x")[1]
    code, said = terminal("check", "photos", "--trigger", "ohwx")
    assert (code, "photos/chelsea.png" in said, "found: " in said) == (1, True, True)
    assert terminal("tags", "photos", "--first", "ohwx")[0] == 0
    assert terminal("check", "photos", "--trigger", "ohwx")[0] == 0
    code, said = terminal("audit", "photos", "--trigger", "ohwx")
    assert (code, '"x" is in all 3 captions' in said) == (1, True)
    assert terminal("audit", "photos", "--trigger", "ohwx", "--intended", "x")[0] == 0
    code, said = terminal("preview", "photos", "--to", "out", "--images", "copy")
    assert (code, "nothing was written" in said) == (0, True)
    assert not Path("out").exists()
    assert terminal("write", "photos", "--to", "out", "--images", "copy")[0] == 0
    assert len(list(Path("out").glob("*.txt"))) == 3
    assert "write for kohya" in terminal("steps", "photos")[1]
    assert "undone: write for kohya" in terminal("undo", "photos")[1]
    assert list(Path().glob("out/*")) == []


def test_json_has_the_whole_answer_of_each_action(terminal: Callable[..., tuple[int, str]]):
    def parsed(*words: str) -> Any:
        return json.loads(terminal(*words, "--json")[1])

    shown = parsed("photos")
    assert [row["kept"] for row in shown["pictures"]] == [True] * 3
    assert parsed("describe", "photos", "--dry-run")["new"] == 6
    assert parsed("tags", "photos", "--first", "ohwx")["changed"] == 1
    assert parsed("tags", "photos")[0] == {"tag": "cat", "count": 1, "share": 1.0}
    assert parsed("check", "photos", "--trigger", "no")[0]["severity"] == "error"
    assert parsed("audit", "photos", "--trigger", "no")["faults"]
    assert parsed("reject", "photos", "--lacks", "cat")["changed"] == 2
    assert {row["action"] for row in parsed("preview", "photos")["rows"]} == {"left", "new"}
    assert parsed("write", "photos", "--overwrite")["counts"]["changed"] == 1
    assert parsed("steps", "photos")[-1]["files"] == 2
    assert "write for kohya" in parsed("undo", "photos")


def test_a_training_takes_ten_pictures_and_says_that_captions_stay(
    shell: InteractiveShell, folder: Path, terminal: Callable[..., tuple[int, str]]
):
    code, said = terminal("train", "photos")
    assert (code, "10 to 100 different images, but there are 3" in said) == (2, True)
    for number in range(7):
        Image.new("RGB", (64, 64), (number, 0, 0)).save(folder / f"{number}.png")

    plan = magic(shell, "train photos --called mine --dry-run")
    assert "1 caption is not sent with them" in repr(plan)
    task = magic(shell, "train photos --called mine --epochs 10 --no-wait")

    assert task.operation.name == "train"
    assert len(task.params["images"]) == 10


# Its grammar.


def test_an_action_wins_over_a_folder_of_its_name_and_a_path_means_the_folder(
    terminal: Callable[..., tuple[int, str]], folder: Path
):
    folder.rename("undo")

    assert terminal("undo")[0] == 2
    assert "3 images" in terminal("./undo")[1]
    assert "no step" in terminal("undo", "undo")[1]


@pytest.mark.parametrize(
    "words", ["photos", "show photos", "photos/*.png", "photos/chelsea.png photos/coffee.png"]
)
def test_the_pictures_are_a_folder_a_glob_or_several(
    terminal: Callable[..., tuple[int, str]], words: str
):
    code, said = terminal(*words.split())

    assert code == 0
    assert re.match(r"photos · [23] images", said)


def test_a_variable_may_be_a_data_set_a_list_or_a_mask(shell: InteractiveShell, folder: Path):
    ds = imgopen.dataset("photos")
    shell.push({"ds": ds, "some": ["photos/chelsea.png"], "mask": ds.frame.caption.isna()})

    assert magic(shell, "{ds}") is ds
    assert len(magic(shell, "{some}")) == 1
    assert magic(shell, "reject {ds} --only {mask}").changed == 2


SELECTIONS = [
    ("--has cat", ["chelsea"]),
    ("--has 'tabby cat'", ["chelsea"]),
    ("--has cat --lacks my", []),
    ("--lacks CAT", ["coffee", "rocket"]),
    ("--has ca", []),
    ("--only '*.png' --lacks cat", ["coffee", "rocket"]),
    ("--only coffee.png,rocket.png", None),
]


@pytest.mark.parametrize(("options", "expected"), SELECTIONS)
def test_pictures_are_chosen_by_name_and_by_words(
    shell: InteractiveShell, options: str, expected: list[str] | None
):
    if expected is None:
        with pytest.raises(ImgOpenError, match="no image of this dataset"):
            magic(shell, f"reject photos {options}")
        return
    magic(shell, f"reject photos {options}")

    rejected = imgopen.dataset("photos").frame.query("not kept").image
    assert [Path(image).stem for image in rejected] == expected


RULES = [
    ("--add new,other", "my cat, tabby_cat, cat, new, other"),
    ("--first cat", "cat, my cat, tabby_cat"),
    ("--remove cat 'my cat'", "tabby_cat"),
    ("--rename cat feline", "my cat, tabby_cat, feline"),
    ("--replace cat dog", "my dog, tabby_dog, dog"),
    (r"--replace '\bcat$' dog --regex", "my cat, tabby_cat, dog"),
    ("--order alphabet", "cat, my cat, tabby_cat"),
    ("--order trigger --trigger cat", "cat, my cat, tabby_cat"),
    ("--order alphabet --kept 1", "my cat, cat, tabby_cat"),
    ("--order kept --kept cat,tabby_cat", "cat, tabby_cat, my cat"),
    ("--drop-implied", "my cat, tabby_cat"),
    ("--spaces --dedupe", "my cat, tabby cat, cat"),
    ("--prefix 'a photo of'", "a photo of my cat, tabby_cat, cat"),
    ("--suffix 'by me'", "my cat, tabby_cat, cat by me"),
    ("--blacklist 'tab*'", "my cat, cat"),
    ("--whitelist cats.txt", "cat"),
    ("--apply rules.toml", "ohwx, my cat, tabby_cat, cat"),
    ("--rename cat a --rename a b", "my cat, tabby_cat, b"),
    ("--add 'x (y)' --escape", r"my cat, tabby_cat, cat, x \(y\)"),
    (r"--add 'x \(y\)' --unescape", "my cat, tabby_cat, cat, x (y)"),
    ("--first ohwx --lacks cat", "my cat, tabby_cat, cat"),
]


@pytest.mark.parametrize(("options", "expected"), RULES)
def test_each_rule_is_applied_in_the_order_of_the_line(
    shell: InteractiveShell, options: str, expected: str
):
    Path("cats.txt").write_text("cat\n")
    Path("rules.toml").write_text('[[rules]]\nrule = "add"\ntag = "ohwx"\nfirst = true\n')

    magic(shell, f"tags photos {options}")

    assert captions(imgopen.dataset("photos"))["chelsea"] == expected


def test_rules_are_saved_and_applied_to_other_pictures(
    terminal: Callable[..., tuple[int, str]], folder: Path
):
    assert "rules written" in terminal("tags", "photos", "--first", "ohwx", "--save", "r.toml")[1]
    (folder / "rocket.txt").write_text("a rocket")

    terminal("tags", "photos", "--apply", "r.toml")

    assert captions(imgopen.dataset("photos"))["rocket"] == "ohwx, a rocket"


# Wrong lines: what is said, and what to do.

WRONG = [
    ("", "dataset needs FOLDER", "--help"),
    ("check", "check needs FOLDER", "dataset check --help"),
    ("chek photos", "no action or folder 'chek'", "did you mean check?"),
    ("chek photos --trainer kohya", "no action or folder 'chek'", "did you mean check?"),
    ("photos check --trainer kohya", "no file or folder 'check'", "imgopen dataset check photos"),
    ("photos --trainer kohya", "no option of imgopen dataset", "dataset check or dataset preview"),
    ("photo", "no file or folder photo", "did you mean photos?"),
    ("my photos", "no file or folder 'my'", "spaces in quotes"),
    ("photos # the cats", "no file or folder '#'", "a line of its own"),
    ("reject --only x.png photos", "reject needs FOLDER", "reject FOLDER [options]"),
    ("photos check", "no file or folder 'check'", "imgopen dataset check photos"),
    ("nowhere", "no file or folder nowhere in ", "a folder, a glob"),
    ("check photos --trainer koya", "no trainer 'koya'", "did you mean kohya?"),
    ("check photos --limit x", "--limit must be a whole number", ""),
    ("write photos --folder x", "no option of imgopen dataset write", "did you mean --to?"),
    ("write photos --images move", "images must be one of stay, copy, link, not 'move'", ""),
    ("write photos", "an image has no caption|no caption", ""),
    ("audit photos", "audit needs --trigger", "--trigger ohwx"),
    ("audit photos --trigger", "--trigger needs a value", ""),
    ("reject photos", "which images", "--only"),
    ("keep photos", "which images", "--has"),
    ("reject photos --only cats.png", "no image of this dataset called 'cats.png'", ""),
    ("merge photos --how sum", "no merge 'sum'", ""),
    ("merge photos --min-score high", "--min-score must be a number", ""),
    ("merge photos --models clipp", "no model of these images", ""),
    ("describe photos --models clipp", "clipp", "clip"),
    ("describe photos --max -1", "--max", ""),
    ("tags photos --trigger x", "--trigger and --kept need --order", "--first"),
    ("tags photos --order sideways", "sideways", "trigger, kept, score, alphabet"),
    ("tags photos --rename cat", "--rename needs a value|--rename: expected 2", ""),
    ("tags photos --replace ( x --regex", "is not valid", ""),
    ("tags photos --apply none.toml", "none.toml cannot be read", ""),
    ("tags photos --save r.toml", "no rule was applied yet", ""),
    ("photos --out ds", "in a terminal", "--json"),
    ("undo nowhere", "no file or folder nowhere", ""),
]


@pytest.mark.parametrize(("words", "said", "hint"), WRONG, ids=[row[0] for row in WRONG])
def test_a_wrong_line_is_one_sentence_with_what_to_do(
    terminal: Callable[..., tuple[int, str]], folder: Path, words: str, said: str, hint: str
):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    code, printed = terminal(*words.split())

    assert code in (1, 2)
    assert printed.startswith("imgopen: ")
    assert re.search(said.replace("(", r"\("), printed), printed
    assert hint in printed
    assert "Traceback" not in printed
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


# Help and Tab.


@pytest.mark.parametrize("action", ABOUT)
def test_each_action_has_its_own_help(terminal: Callable[..., tuple[int, str]], action: str):
    code, said = terminal(action, "--help")

    assert code == 0
    assert ABOUT[action] in said or action == "show"
    assert f"imgopen dataset {action}" in said


def test_the_help_names_all_actions_and_exit_codes(terminal: Callable[..., tuple[int, str]]):
    assert set(actions("dataset")) == set(ABOUT)
    assert [name for name in ABOUT if f"  {name} " not in terminal("--help")[1]] == []
    assert "exit code is 1" in terminal("check", "--help")[1]
    assert "exit code is 1" in terminal("audit", "--help")[1]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("data", {"dataset"}),
        ("dataset ch", {"check"}),
        ("dataset check photos --tr", {"--trainer", "--trigger"}),
        ("dataset check photos --trainer ", set(TRAINERS)),
        ("dataset write photos --images ", {"stay", "copy", "link"}),
        ("dataset merge photos --how s", {"sentence+tags", "sentence-only", "subtraction"}),
        ("dataset describe photos --models ", {"clip", "deepdanbooru"}),
        ("dataset tags photos --dro", {"--drop-implied"}),
    ],
)
def test_tab_offers_actions_options_and_values(
    shell: InteractiveShell, line: str, expected: set[str]
):
    text = f"%imgopen {line}"
    with provisionalcompleter():
        found = {each.text for each in shell.Completer.completions(text, len(text))}

    assert expected <= found
    assert "dataset check" not in found


def test_tab_offers_the_tags_in_use_the_most_frequent_first(shell: InteractiveShell, folder: Path):
    (folder / "coffee.txt").write_text("cup, cat, tabby_cat")
    (folder / "rocket.txt").write_text("cup of tea, cat")
    imgopen.dataset("photos")
    text = "%imgopen dataset tags photos --remove "

    with provisionalcompleter():
        found = [each.text for each in shell.Completer.completions(text, len(text))]

    assert found[0] == "cat"
    assert {'"cup of tea"', "tabby_cat", "cup"} <= set(found)


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("my photos (1)", "my"), ("my photos (1)", "'my ph"), ("a[1]b", "a["), ("it's", "it"),
        ("-dash", "./-d"), ("z {b}", "'z"), ("z {b}", "z"),
    ],
)  # fmt: skip
def test_what_tab_offers_of_a_folder_is_read_as_that_folder(
    shell: InteractiveShell, folder: Path, name: str, typed: str
):
    folder.rename(name)
    text = f"%imgopen dataset {typed}"
    with provisionalcompleter():
        found = list(shell.Completer.completions(text, len(text)))

    lines = {text[: each.start] + each.text for each in found}
    (line,) = lines
    assert len(magic(shell, line.removeprefix("%imgopen dataset "))) == 3


def test_texts_in_a_terminal_name_no_python(terminal: Callable[..., tuple[int, str]]):
    terminal("tags", "photos", "--first", "ohwx")
    terminal("reject", "photos", "--lacks", "ohwx")
    lines = [
        "train photos", "merge photos", "write photos", "write photos --images copy",
        "write photos --to out", "preview photos", "tags photos --order kept",
        "tags photos --order trigger", "tags photos --replace ( x --regex",
        "describe photos --help",
    ]  # fmt: skip
    said = "\n".join(terminal(*line.split())[1] for line in lines)

    assert re.findall(r"\bds\.\w+|\w+=(?:True|False|\"|\[)|\{\w+\}", said) == []


def test_a_merge_counts_as_without_a_caption_only_what_has_none_afterwards(
    terminal: Callable[..., tuple[int, str]],
):
    terminal("describe", "photos", "--models", "clip")

    said = terminal("merge", "photos")[1]

    assert "2 images changed" in said
    assert "without a caption" not in said


def test_undo_counts_no_file_that_stays(terminal: Callable[..., tuple[int, str]], folder: Path):
    (folder / "chelsea.txt").unlink()
    terminal("describe", "photos")
    terminal("merge", "photos")
    terminal("write", "photos")
    (folder / "rocket.txt").write_text("mine")

    said = terminal("undo", "photos")[1]

    assert "rocket.txt was changed since and stays as it is" in said
    assert "as before" not in said


def test_undo_of_a_folder_without_steps_says_that_there_are_none(
    terminal: Callable[..., tuple[int, str]],
):
    assert terminal("undo", "photos")[1].strip() == ("nothing to undo: photos has no steps yet.")


def test_the_same_line_of_rules_again_changes_nothing(
    terminal: Callable[..., tuple[int, str]], folder: Path
):
    terminal("merge", "photos")
    line = ("tags", "photos", "--first", "ohwx", "--replace", "ohwx", "sks", "--prefix", "photo of")
    terminal(*line)
    ds = imgopen.dataset("photos")
    before, rules = ds.caption.dropna().tolist(), ds.rules

    terminal(*line)

    assert imgopen.dataset("photos").caption.dropna().tolist() == before
    assert imgopen.dataset("photos").rules == rules
    assert before
    assert all(text.startswith("photo of sks") for text in before)


def test_a_tag_that_no_caption_has_is_told_and_no_step(
    terminal: Callable[..., tuple[int, str]], folder: Path
):
    ds = imgopen.dataset("photos")
    ds.caption = {"rocket*": "a rocket, blurry_background"}
    steps = len(ds.steps)

    said = terminal("tags", "photos", "--remove", "blurry_bakground")[1]

    assert 'no caption has the tag "blurry_bakground"' in said
    assert "did you mean blurry_background?" in said
    assert len(ds.steps) == steps


def test_undo_of_a_folder_that_was_written_into_says_where_steps_are(
    terminal: Callable[..., tuple[int, str]],
):
    terminal("describe", "photos")
    terminal("merge", "photos")
    terminal("write", "photos", "--to", "train", "--images", "copy")

    assert terminal("undo", "train")[1].strip() == (
        "nothing to undo: train has no steps yet; steps belong to the folder of the images, not to "
        "the folder that was written."
    )
    assert "undone: write" in terminal("undo", "photos")[1]


def test_the_folder_of_a_hint_can_be_typed_as_it_stands(
    terminal: Callable[..., tuple[int, str]], folder: Path
):
    folder.rename("-dash")

    assert "imgopen dataset describe ./-dash" in terminal("./-dash")[1]


def test_the_longest_name_counts():
    assert find_in(["dataset", "check", "x"])[0].name == "dataset check"
    assert find_in(["dataset", "x"])[0].name == "dataset"
    with pytest.raises(HelpAsked, match="exit code"):
        find_in(["dataset", "audit"])[0].parser().read(["--help"])


# How it is shown.

HOSTILE = "<script>alert(1)</script> \u202e\x1b[31m ${x} " + "long " * 400


def test_cards_escape_what_captions_hold_and_stay_small(folder: Path):
    for number in range(30):
        Image.new("RGB", (200, 150), (number, 9, 9)).save(folder / f"<b>{number}.png")
    ds = imgopen.dataset("photos")
    ds.caption = dict.fromkeys(ds.frame.image, HOSTILE)
    ds.reject("rocket.png", note=HOSTILE)
    audit = ds.audit(trigger="alert")
    written = ds.write(trainer="kohya", overwrite=True)
    shown = [ds, audit, written, imgopen.dataset("photos")]

    for value in shown:
        bundle = value._repr_mimebundle_()
        html, text = bundle["text/html"], bundle["text/plain"]
        assert len(html) < 400_000
        assert "<script" not in html
        assert "<b>0" not in html
        assert "\u202e" not in html + text
        assert "\x1b" not in html + text


def test_the_card_says_how_many_and_what_is_next(folder: Path):
    ds = imgopen.dataset("photos")
    ds.reject("rocket.png", note="dark")

    html = ds._repr_mimebundle_()["text/html"]

    assert html.count("<img ") == 3
    for words in ("photos · 3 images", "2 kept", "1 rejected", "1 without a caption", "dark"):
        assert words in html
    assert "<code>%imgopen dataset describe photos</code>" in html


def test_a_preview_shows_what_changes_first_and_counts_the_rest(folder: Path):
    from imgopen_nb.datasets.cards import MOST_FILES, preview_of

    rows = [(f"{n}.txt", "same", "x", "x") for n in range(MOST_FILES)] + [
        ("y.txt", "new", None, "y")
    ]
    card = preview_of(pd.DataFrame(rows, columns=["file", "action", "before", "after"]))

    assert card.head == f"{MOST_FILES + 1} files: 1 new, {MOST_FILES} same"
    assert repr(card).index("y.txt") < repr(card).index("0.txt")
    assert "… 1 more file" in card._repr_mimebundle_()["text/html"]
