"""--from on a line of the magic and of the command: batches of files, folders and variables."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import PIL.Image
import pytest
from IPython.core.history import HistoryAccessor
from IPython.core.interactiveshell import InteractiveShell

from imgopen_nb import session as session_module
from imgopen_nb.batch.batch import Batch
from imgopen_nb.batch.export import writable, write
from imgopen_nb.batch.plan import Plan
from imgopen_nb.catalogue.operations import OPERATIONS
from imgopen_nb.cli import main
from imgopen_nb.commands.registry import find
from imgopen_nb.database.database import Database
from imgopen_nb.database.written_files import WrittenFiles
from imgopen_nb.errors import ImgOpenError, ParameterError
from imgopen_nb.session import Session
from imgopen_nb.syntax import parser
from imgopen_nb.tasks.result import Result
from imgopen_nb.text import counted

from ..conftest import KEY_ID, KEY_SECRET
from ..service import Service, caption_of
from ..stub import Stub

URLS = ["https://e.org/1.jpg", "https://e.org/2.jpg"]


@pytest.fixture
def books(stub: Stub) -> Service:
    return Service(duration=lambda: 0.0).on(stub)


@pytest.fixture
def shell(
    stub: Stub, books: Service, monkeypatch: pytest.MonkeyPatch
) -> Iterator[InteractiveShell]:
    """A shell with the extension and a DataFrame `df`, whose session talks to the service."""
    monkeypatch.setenv("IMGOPEN_CACHE", "on")
    monkeypatch.setattr(HistoryAccessor, "enabled", False)
    with Session(stub.url, KEY_ID, KEY_SECRET) as session:
        session_module.set_current(session)
        made = InteractiveShell()
        made.run_line_magic("load_ext", "imgopen_nb")
        made.user_ns["df"] = pd.DataFrame({"url": URLS, "no": [1, 2]}, index=["a", "b"])
        made.user_ns["links"] = URLS
        made.user_ns["one"] = URLS[:1]
        yield made
        made.run_line_magic("unload_ext", "imgopen_nb")


def line(shell: InteractiveShell, text: str) -> Any:
    return shell.run_line_magic("imgopen", text)


def test_a_column_with_models_fills_a_variable_with_the_wide_frame(shell: InteractiveShell):
    value = line(shell, "describe --from df.url --models clip,deepdanbooru --out captions")

    wide = shell.user_ns["captions"]
    assert value is None
    assert list(wide.columns) == ["clip", "deepdanbooru", "error"]
    assert list(wide.index) == ["a", "b"]
    assert list(wide["clip"]) == [caption_of(url, "clip") for url in URLS]


@pytest.mark.parametrize(
    "given",
    ["df.url", "df --column url", "df", "links", "{links}", "{df}", " ".join(URLS), "pictures.csv",
     "df['url']", 'df["url"]', "{df['url']}", "{df.url}", "$df.url", "$links",
     "{links[:2]}", "links[0:2]", "odd.image.url", "odd.image", "odd.1", "{odd[1]}", "odd['a b']",
     'odd --column "a b"', "odd --column image.url", "nested.train.url", "“pictures.csv”",
     "file://{here}/pictures.csv",
     "pictures.jsonl", "pictures.parquet", "sub.pictures.csv", "links[0] links[1]",
     "a [b] c/p*.csv"],
)  # fmt: skip
def test_many_pictures_may_be_given_in_many_ways(
    shell: InteractiveShell, given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    frame = shell.user_ns["df"]
    shell.user_ns["odd"] = pd.DataFrame({"image.url": URLS, "image": URLS, 1: URLS, "a b": URLS})
    shell.user_ns["nested"] = {"train": {"url": URLS}}
    frame.to_csv(tmp_path / "pictures.csv")
    frame.to_csv(tmp_path / "sub.pictures.csv")
    (tmp_path / "a [b] c").mkdir()
    frame.to_csv(tmp_path / "a [b] c" / "pictures.csv")
    frame.to_json(tmp_path / "pictures.jsonl", orient="records", lines=True)
    frame.to_parquet(tmp_path / "pictures.parquet")
    monkeypatch.chdir(tmp_path)

    batch = line(shell, f"describe --model clip --from {given.replace('{here}', str(tmp_path))}")

    assert isinstance(batch, Batch)
    assert [r.caption for r in batch] == [caption_of(url, "clip") for url in URLS]


@pytest.mark.parametrize("given", ["df", "df.url", "{df}"])
def test_the_variable_that_is_the_input_is_never_replaced(
    shell: InteractiveShell, given: str, stub: Stub
):
    shell.user_ns["df"] = frame = pd.DataFrame({"url": ["https://example.org/1.png"]})

    with pytest.raises(ParameterError, match="df is the input of this line: nothing was sent"):
        line(shell, f"describe --from {given} --out df")
    assert shell.user_ns["df"] is frame
    assert stub.requests == []


def test_compare_takes_a_table_of_pictures(shell: InteractiveShell):
    shell.user_ns["df"] = pd.DataFrame({"url": ["https://example.org/1.png"], "n": [1]})

    assert len(line(shell, "compare {df} --models clip")) == 1


def test_the_name_of_a_variable_where_pictures_are_meant_gets_a_hint(
    shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("imgopen_nb.display.progress_bar.in_notebook", lambda: True)
    shell.user_ns["df"] = pd.DataFrame({"url": ["https://example.org/1.png"]})

    for widget in ("board", "gallery"):
        with pytest.raises(ParameterError, match=r"no file or folder df\n  → .*\{df\}"):
            line(shell, f"{widget} df")


def test_one_picture_is_a_batch_too(shell: InteractiveShell):
    for given in (URLS[0], "{one}", "one"):
        assert [r.image for r in line(shell, f"describe --from {given}")] == URLS[:1]


def test_a_dry_run_sends_nothing(shell: InteractiveShell, stub: Stub):
    made = line(shell, "describe --from df.url --models clip deepdanbooru --max 3 --dry-run")

    assert isinstance(made, Plan)
    assert (made.new, made.most, stub.requests) == (4, 3, [])


def test_max_and_concurrency_are_kept(shell: InteractiveShell, books: Service):
    batch = line(
        shell, "describe --from {links} --models clip,deepdanbooru --max 1 --concurrency 1"
    )

    assert len(books.accepted) == 1
    assert sum("limit on new tasks" in (r.error or "") for r in batch) == 3


def test_fresh_asks_again(shell: InteractiveShell, books: Service):
    for more in ("", "", "--fresh"):
        line(shell, f"describe --from df.url --model clip {more}")

    assert len(books.accepted) == 4


def test_a_grid_on_the_line_has_an_axis_for_each_name(shell: InteractiveShell):
    made = line(
        shell, "text2image --from links --model m --grid seed=1, 2,3 steps=[10, 20] --dry-run"
    )

    assert (made.rows, made.combinations) == (2, 6)


def test_a_grid_of_lists_has_a_list_for_each_value(shell: InteractiveShell):
    made = line(shell, f"face-fusion --from df.url --grid faces={','.join(URLS)} --dry-run")

    assert made.combinations == 2


def test_words_before_from_fill_the_other_parameters(shell: InteractiveShell):
    made = line(shell, f"face-swap {URLS[0]} --from df.url --dry-run")

    assert (made.rows, made.combinations, made.new) == (2, 1, 2)


def test_the_cell_is_the_prompt_of_every_picture(shell: InteractiveShell):
    made = shell.run_cell_magic(
        "imgopen", "image2image --from df.url --model m --seed 1 --dry-run", "a red fox"
    )

    assert (made.new, made.unusable) == (2, 0)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--from linkz", "did you mean links"),
        ("--from df.urls", "did you mean url"),
        ("--from nowhere.csv", "there is no variable, file or folder 'nowhere.csv'"),
        ("--from folder/none", "there is no file or folder folder/none"),
        ("--from *.none", "no file matches *.none"),
        ("--from df.shape.x", "there is no column"),
        ("--from df.head", "a batch cannot be read from an object of type method"),
        ("--from df --column no-such", "there is no column of the DataFrame called 'no-such'"),
        ("--from", "--from needs a value"),
        ("--from df.url --models clop", "did you mean clip"),
        ("--from df.url --models ,", "--models has no value"),
        ("--from df.url --model clip --models clip", "model was given twice"),
        ("--from df.url --grid model=clip --models clip", "model was given twice"),
        ("--from df.url --grid model=clip model=clip", "model was given twice"),
        ("--from df.url --grid model=", "--grid model has no value"),
        ("--from df.url --grid clip", "--grid takes NAME=A,B, not 'clip'"),
        ("--from df.url --grid modle=clip", "did you mean model"),
        ("--from df.url --grid image=x", "image was given twice"),
        ("--from df.my-url", "in quotes: df['my-url']"),
        ("--from {df}.url", "a table or an array in braces must be a word of its own"),
        ("--from df.url --max -1", "--max must be a whole number of at least 0"),
        ("--from df.url --max many", "--max must be a whole number of at least 0, not 'many'"),
        ("--from df.url --concurrency 0", "--concurrency must be a whole number of at least 1"),
        ("--from df.url --timeout soon", "--timeout must be "),
        ("--from df.url --no-wait", "--no-wait cannot be used with --from"),
        ("--from df.url --form", "--form cannot be used with --from"),
        ("--form --max 3", "--max needs --from"),
        ("--from df.url --image https://e.org/x", "image was given twice"),
        ("https://e.org/x --from df.url", "image was given twice"),
        ("https://e.org/x --max 3", "--max needs --from"),
        ("https://e.org/x --dry-run", "--dry-run needs --from"),
        ("https://e.org/x --models clip", "--models needs --from"),
    ],
)
def test_a_slip_on_the_line_is_one_sentence_and_nothing_is_sent(
    shell: InteractiveShell, stub: Stub, words: str, says: str
):
    with pytest.raises(ImgOpenError, match=re.escape(says)) as caught:
        line(shell, f"describe {words}")

    assert "\n" not in caught.value.message
    assert stub.requests == []


def test_the_words_before_from_are_those_of_the_other_parameters():

    for name, words, meant in (
        ("hairstyle", ["red", "--from", "a"], {"hair": "red"}),
        ("image2image", ["a fox", "--from", "a"], {"prompt": "a fox"}),
        ("describe", ["b.png", "--from", "a"], {"image": "b.png"}),
        ("hairstyle", ["b.png", "red", "--from", "a"], {"image": "b.png", "hair": "red"}),
    ):
        assert parser.given(OPERATIONS[name], find(name).parser().read(words), "image") == meant


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("hairstyle --from a red", "hairstyle needs hair, and --from takes every word after it"),
        ("watermark --from a hello", "watermark needs text, and --from takes every word after it"),
        ("models --from a", "one of --help, --model"),
    ],
)
def test_words_that_from_has_taken_are_told(shell: InteractiveShell, words: str, says: str):
    with pytest.raises(ImgOpenError, match=re.escape(says)):
        line(shell, words)


def test_a_folder_or_a_glob_of_training_pictures_is_its_pictures(
    shell: InteractiveShell, stub: Stub, tmp_path: Path
):
    for number in range(3):
        PIL.Image.new("RGB", (8, 8)).save(tmp_path / f"{number}.png")

    for words in (str(tmp_path), f"{tmp_path}/*.png"):
        with pytest.raises(ParameterError, match="images takes 10 to 100 images, not 3"):
            line(shell, f"train {words}")
    assert stub.requests == []


def test_a_single_call_is_as_before(shell: InteractiveShell):
    assert isinstance(line(shell, f"describe {URLS[0]} --model clip"), Result)


def test_help_lists_the_options_of_a_batch(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
):
    line(shell, "describe --help")

    said = capsys.readouterr().out
    for flag in ("--from", "--column", "--models", "--grid", "--max", "--concurrency", "--dry-run"):
        assert flag in said


# The command line.


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a CSV of two images, before a service with keys."""
    (tmp_path / "pictures.csv").write_text("url\n" + "\n".join(URLS) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def keys(stub: Stub, books: Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keys in the environment; the session that a command leaves behind is closed."""
    for name, value in (("BASE_URL", stub.url), ("ACCESS_KEY_ID", KEY_ID)):
        monkeypatch.setenv(f"IMGOPEN_{name}", value)
    monkeypatch.setenv("IMGOPEN_ACCESS_KEY_SECRET", KEY_SECRET)
    monkeypatch.setenv("IMGOPEN_CACHE", "on")
    yield
    session_module.current().close()


CALL = ["describe", "--from", "pictures.csv", "--models", "clip,deepdanbooru"]


@pytest.mark.parametrize("name", ["captions.csv", "captions.JSONL", "captions.parquet"])
def test_the_command_writes_a_file(
    folder: Path, keys: None, name: str, capsys: pytest.CaptureFixture[str]
):
    assert main([*CALL, "--out", name]) == 0

    read = {
        ".csv": lambda path: pd.read_csv(path, index_col=0),
        ".jsonl": lambda path: pd.read_json(path, lines=True).set_index("index"),
        ".parquet": pd.read_parquet,
    }[Path(name).suffix.lower()](folder / name)
    assert f"2 rows written to {name}" in capsys.readouterr().out
    assert list(read.columns) == ["clip", "deepdanbooru", "error"]
    assert list(read["clip"]) == [caption_of(url, "clip") for url in URLS]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("captions.txt", "captions.txt is not a .csv, .jsonl or .parquet file"),
        ("nowhere/captions.csv", "nowhere/captions.csv cannot be written"),
        ("folder.csv", "folder.csv cannot be written"),
    ],
)
def test_a_file_that_cannot_be_written_is_refused_before_anything_is_sent(
    folder: Path, keys: None, stub: Stub, name: str, says: str, capsys: pytest.CaptureFixture[str]
):
    (folder / "folder.csv").mkdir()

    assert main([*CALL, "--out", name]) == 2

    assert says in capsys.readouterr().err
    assert stub.requests == []


@pytest.mark.parametrize(("rows", "code"), [([*URLS, "/no.jpg"], 0), (["/no.jpg"], 1)])
def test_the_command_says_how_many_rows_failed_and_fails_if_all_did(
    folder: Path, keys: None, rows: list[str], code: int, capsys: pytest.CaptureFixture[str]
):
    (folder / "some.csv").write_text("url\n" + "\n".join(rows) + "\n")

    assert main(["describe", "--from", "some.csv", "--out", "captions.csv"]) == code

    said = f"{counted(len(rows), 'row')} written to captions.csv, 1 with an error"
    assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    "spelling", ["pictures.csv", "sub/../pictures.csv", "link.csv", "hard.csv"]
)
@pytest.mark.parametrize("more", [[], ["--overwrite"], ["--dry-run"]])
def test_the_input_itself_is_never_written_to(
    folder: Path, keys: None, stub: Stub, spelling: str, more: list[str],
    capsys: pytest.CaptureFixture[str],
):  # fmt: skip
    (folder / "sub").mkdir()
    (folder / "link.csv").symlink_to("pictures.csv")
    os.link(folder / "pictures.csv", folder / "hard.csv")
    before = (folder / "pictures.csv").read_bytes()

    for given in (spelling, str(folder / spelling)):
        assert main([*CALL, "--out", given, *more]) == 2
        assert f"{given} is the input of this batch: nothing was sent" in capsys.readouterr().err

    assert stub.requests == []
    assert (folder / "pictures.csv").read_bytes() == before


def test_a_table_of_the_user_is_refused_before_anything_is_sent_and_one_of_ours_is_replaced(
    folder: Path, keys: None, stub: Stub, capsys: pytest.CaptureFixture[str]
):
    other = folder / "other.csv"
    other.write_text("url,notes\n")

    assert main([*CALL, "--out", "other.csv"]) == 2

    said = capsys.readouterr().err
    assert "other.csv was not written by imgopen_nb" in said
    assert "--overwrite" in said
    assert (other.read_text(), stub.requests) == ("url,notes\n", [])

    assert main([*CALL, "--out", "other.csv", "--overwrite"]) == 0
    first = other.read_text()
    assert main([*CALL[:3], "--out", "other.csv"]) == 0
    assert other.read_text() != first
    other.write_text(first + "edited\n")
    assert main([*CALL, "--out", "other.csv"]) == 2


@pytest.mark.parametrize("words", [["--overwrite"], ["--from", "pictures.csv", "--overwrite"]])
def test_overwrite_without_a_file_to_write_is_refused(
    folder: Path, keys: None, stub: Stub, words: list[str], capsys: pytest.CaptureFixture[str]
):
    assert main(["describe", *words]) == 2

    assert "--overwrite needs --" in capsys.readouterr().err
    assert stub.requests == []


def test_in_a_notebook_overwrite_is_refused(shell: InteractiveShell, stub: Stub):
    with pytest.raises(ParameterError, match="in a terminal"):
        line(shell, "describe --from df.url --out captions --overwrite")
    assert stub.requests == []


def test_a_dry_run_of_the_command_writes_no_file(
    folder: Path, keys: None, stub: Stub, capsys: pytest.CaptureFixture[str]
):
    assert main([*CALL, "--out", "captions.csv", "--dry-run"]) == 0

    assert "4 to send" in capsys.readouterr().out
    assert not (folder / "captions.csv").exists()
    assert stub.requests == []


@pytest.mark.parametrize(
    ("grid", "prompts"),
    [
        ("prompt={texts}", ["a cat, sitting", "a dog"]),
        ('prompt="a cat, sitting",dog', ["a cat, sitting", "dog"]),
        ("'prompt=\"a cat, sitting\",a dog'", ["a cat, sitting", "a dog"]),
        ("prompt={column}", ["a cat, sitting", "a dog"]),
        ("prompt={array},fox", ["a cat, sitting", "a dog", "fox"]),
        ("prompt={one_text},fox", ["a cat, sitting", "fox"]),
        ("{axes}", ["a cat, sitting", "a dog"]),
    ],
)
def test_a_grid_has_values_by_the_quoting_of_csv_and_of_variables(
    shell: InteractiveShell, grid: str, prompts: list[str]
):
    texts = ["a cat, sitting", "a dog"]
    shell.user_ns |= {"texts": texts, "column": pd.Series(texts), "array": np.array(texts)}
    shell.user_ns |= {"one_text": texts[0], "axes": {"prompt": texts}}

    plan = line(shell, f"instant-id --from df.url --grid {grid} --dry-run")
    batch = line(shell, f"instant-id --from df.url --grid {grid}")

    assert plan.combinations == len(prompts)
    assert [result.params["prompt"] for result in batch] == prompts * 2


@pytest.mark.parametrize("words", ["--models {models}", "--models={models}", "--models {column}"])
def test_models_may_be_a_list(shell: InteractiveShell, words: str):
    models = ["clip", "deepdanbooru"]
    shell.user_ns |= {"models": models, "column": pd.Series(models)}

    batch = line(shell, f"describe --from df.url {words}")

    assert [result.model for result in batch] == models * 2


@pytest.mark.parametrize(
    "words", ["--from {none}", "--from df.url --models {none}", "--from df.url --grid model={none}"]
)
def test_an_empty_list_is_one_sentence(shell: InteractiveShell, stub: Stub, words: str):
    shell.user_ns["none"] = []

    with pytest.raises(ParameterError, match=r"is empty|has no value"):
        line(shell, f"describe {words}")
    assert stub.requests == []


@pytest.mark.parametrize("word", ["links[0]", "one.nope"])
def test_a_variable_without_braces_where_one_picture_is_meant_gets_a_hint(
    shell: InteractiveShell, stub: Stub, word: str
):
    with pytest.raises(ParameterError, match=r"for the variable: \{"):
        line(shell, f"describe {word}")
    assert stub.requests == []


def test_save_in_a_notebook_writes_files_and_says_where(
    shell: InteractiveShell, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    line(shell, f"describe {URLS[0]} --save {tmp_path / 'one'} --out kept")
    line(shell, f"describe --from df.url --save {tmp_path / 'many'}")

    said = capsys.readouterr().out
    assert said.count("saved: ") == 6
    assert len(list((tmp_path / "many").glob("?-describe-*.txt"))) == 2
    assert shell.user_ns["kept"].caption in next((tmp_path / "one").glob("*.txt")).read_text()


def test_out_of_a_file_in_a_notebook_says_what_to_do(shell: InteractiveShell, stub: Stub):
    with pytest.raises(ParameterError, match=r"name of a variable.*\n.*to_csv.*--save FOLDER"):
        line(shell, "describe --from df.url --out captions.csv")
    assert stub.requests == []


def test_without_out_the_command_says_how_it_went(
    folder: Path, keys: None, capsys: pytest.CaptureFixture[str]
):
    assert main(CALL) == 0

    said = capsys.readouterr()
    assert "4 calls done: 4 sent" in said.out
    assert said.err == ""  # no bar where there is no terminal


def test_the_command_has_no_variables_and_says_what_it_looked_for(
    folder: Path, keys: None, capsys: pytest.CaptureFixture[str]
):
    assert main(["describe", "--from", "df.url", "--out", "x.csv"]) == 2

    assert "there is no file or folder 'df.url'" in capsys.readouterr().err


def test_a_folder_in_the_sandbox_becomes_a_csv_by_a_true_command(sandbox_url: str, tmp_path: Path):
    """`imgopen describe --from FOLDER --out captions.csv`, as the README has it."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for at, name in enumerate(["b.png", "a.png"]):
        PIL.Image.new("RGB", (64, 64), (200 * at, 90, 30)).save(photos / name)
    (photos / "broken.jpg").write_text("no image")
    command = [sys.executable, "-m", "imgopen_nb.cli", "describe", "--from", "photos"]
    environment = {**os.environ, "IMGOPEN_BASE_URL": sandbox_url}

    done = subprocess.run(
        [*command, "--out", "captions.csv", "--model", "clip"],
        cwd=tmp_path, env=environment, capture_output=True, text=True,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    frame = pd.read_csv(tmp_path / "captions.csv", index_col=0)
    assert list(frame.index) == ["photos/a.png", "photos/b.png", "photos/broken.jpg"]
    assert list(frame["caption"].notna()) == [True, True, False]
    assert "broken.jpg" in frame.loc["photos/broken.jpg", "error"]


# The files themselves.


@pytest.fixture
def files(tmp_path: Path) -> WrittenFiles:
    return WrittenFiles(Database(tmp_path / "home"))


def test_lists_are_json_in_a_csv_and_lists_elsewhere(files: WrittenFiles, tmp_path: Path):
    images = pd.Series([["u1", "ü"], None, ["\ud800"]], dtype=object)
    frame = pd.DataFrame({"images": images, "error": ["", "x", ""]})

    rows = pd.read_csv(write(frame, tmp_path / "a.csv", files))
    lines = write(frame.iloc[:1], tmp_path / "a.jsonl", files).read_text().splitlines()

    assert [json.loads(rows["images"][at]) for at in (0, 2)] == [["u1", "ü"], ["?"]]
    assert json.loads(lines[0])["images"] == ["u1", "ü"]


def test_an_index_of_any_kind_is_written(files: WrittenFiles, tmp_path: Path):
    """Also one that is called like a column, or has several levels."""
    named = pd.DataFrame({"caption": ["x"]}, index=pd.Index(["k"], name="caption"))
    levels = pd.DataFrame(
        {"caption": ["x"]}, index=pd.MultiIndex.from_tuples([("a", 1)], names=["l", None])
    )
    times = pd.DataFrame({"caption": ["x"]}, index=pd.date_range("2026-01-01", periods=1, tz="UTC"))

    for frame in (named, levels, times):
        for suffix in ("csv", "jsonl"):
            assert "x" in write(frame, tmp_path / f"a.{suffix}", files).read_text()
    assert "2026-01-01" in (tmp_path / "a.jsonl").read_text()


def test_a_full_disk_is_one_sentence_that_says_nothing_is_lost(files: WrittenFiles, tmp_path: Path):
    frame = pd.DataFrame({"caption": ["x" * 10_000]})

    class Full(pd.DataFrame):
        def copy(self, deep: bool = True) -> Any:
            raise OSError(28, "No space left on device")

    before = write(frame, tmp_path / "a.csv", files).read_bytes()
    with pytest.raises(ParameterError, match=r"was not written .*No space left") as caught:
        write(Full(frame), tmp_path / "a.csv", files)

    assert "imgopen export NAME.csv" in caught.value.hint
    assert (tmp_path / "a.csv").read_bytes() == before
    assert writable(tmp_path / "a.csv", [], files) == tmp_path / "a.csv"  # it is still ours
