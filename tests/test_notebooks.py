"""The notebooks: they run from start to end without a key, and what is saved can be read anywhere.

The last part is about secrets: two keys go in, and are looked for in everything that comes out.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook

from imgopen_nb.config.credentials import KEY_ID, KEY_SECRET
from imgopen_nb.errors import BadRequestError
from imgopen_nb.sandbox.process import SandboxProcess
from imgopen_nb.session import Session

from .notebook_runs import (
    MOST_BYTES,
    RUN_IN_LAB,
    assert_runs_as_planned,
    assert_small,
    assert_subjects_named,
    captions,
    code_cells,
    ends_in_expression,
    failed,
    may_fail,
    our_outputs,
)
from .sandbox_fixtures import Api
from .stub import Reply, Request, Stub, ok, refusal

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
MACHINE_PATHS = (
    "/tmp/",
    "/home/",
    "/Users/",
    f"{Path.home()}/",
    f"{FOLDER.parent}/",
    "C:\\\\Users",
)
# Those that show widgets: what is read of them without a kernel are the stand-ins.
CLICKED = [path for path in NOTEBOOKS if path.name[:2] in ("06", "07")]
CARDS = [path for path in NOTEBOOKS if path not in CLICKED]
EACH = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
HERE = [path for path in NOTEBOOKS if path.name not in RUN_IN_LAB]
EACH_HERE = pytest.mark.parametrize("path", HERE, ids=lambda path: path.name)
EACH_OF_CARDS_HERE = pytest.mark.parametrize(
    "path", [path for path in HERE if path in CARDS], ids=lambda path: path.name
)
EACH_OF_CARDS = pytest.mark.parametrize("path", CARDS, ids=lambda path: path.name)
EACH_OF_WIDGETS = pytest.mark.parametrize("path", CLICKED, ids=lambda path: path.name)
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


# Running from start to end


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Run a notebook once in the whole module, with no key and a home of its own."""
    done: dict[Path, NotebookNode] = {}

    def run(path: Path) -> NotebookNode:
        if path not in done:
            folder = tmp_path_factory.mktemp(path.stem)
            env = {**environment(folder), "IMGOPEN_BACKEND": "sandbox"}
            notebook = nbformat.read(path, as_version=4)
            done[path] = execute(notebook, env, FOLDER)
        return done[path]

    return run


def environment(folder: Path) -> dict[str, str]:
    """Return an environment without keys whose home and IPython folder are in `folder`."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("IMGOPEN_")}
    return {**kept, "IMGOPEN_HOME": str(folder / "home"), "IPYTHONDIR": str(folder / "ipython")}


def execute(notebook: NotebookNode, env: dict[str, str], folder: Path, **more: Any) -> NotebookNode:
    """Run a notebook; raises at the first cell that fails without being tagged."""
    options = {"store_widget_state": False, "timeout": 120, "kernel_name": "python3"}
    options |= {"resources": {"metadata": {"path": str(folder)}}, **more.pop("options", {})}
    return NotebookClient(notebook, **options).execute(env=env, **more)


@pytest.mark.kernel
@EACH_HERE
def test_it_runs_without_a_key_and_fails_only_where_it_says_so(path: Path, executed: Any):
    assert_runs_as_planned(executed(path))


@pytest.mark.kernel
@EACH_OF_CARDS_HERE
def test_a_fresh_run_names_the_subjects_and_stays_small(path: Path, executed: Any):
    assert_subjects_named(executed(path))
    assert_small(executed(path))


@pytest.mark.kernel
def test_without_a_server_results_are_asked_for(tmp_path: Path):
    path = next(path for path in NOTEBOOKS if path.name.startswith("08"))
    env = {**environment(tmp_path), "IMGOPEN_BACKEND": "sandbox"}
    env.pop("IMGOPEN_SERVER", None)
    alone = execute(nbformat.read(path, as_version=4), env, FOLDER)
    said = json.dumps(alone.cells)

    assert [cell.source for cell in code_cells(alone) if failed(cell) != may_fail(cell)] == []
    assert "results are asked for instead" in said
    assert not re.search(r"\b0 queries", said)


# As saved


@pytest.fixture
def saved(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def test_there_are_notebooks():
    assert [path.name for path in NOTEBOOKS][:2] == [
        "01_quickstart.ipynb",
        "02_a_folder_becomes_a_dataset.ipynb",
    ]


@EACH
def test_as_saved_it_is_small_and_was_run_from_top_to_bottom(path: Path, saved: NotebookNode):
    cells = code_cells(saved)

    assert path.stat().st_size < MOST_BYTES
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert [c.source for c in cells if not c.outputs and ends_in_expression(c.source)] == []


@EACH
def test_as_saved_it_fails_only_where_it_says_so(path: Path, saved: NotebookNode):
    assert [cell.source for cell in code_cells(saved) if failed(cell) != may_fail(cell)] == []


@EACH
def test_as_saved_it_tells_nothing_of_the_machine_it_ran_on(path: Path, saved: NotebookNode):
    text = path.read_text("utf-8")

    assert [place for place in MACHINE_PATHS if place in text] == []
    assert (saved.metadata.kernelspec.name, "widgets" in saved.metadata) == ("python3", False)


@EACH_OF_CARDS
def test_as_saved_it_names_the_subjects_of_the_photographs(path: Path, saved: NotebookNode):
    assert_subjects_named(saved)


@EACH_OF_CARDS
def test_as_saved_every_output_of_ours_has_text_and_data_beside_the_html(
    path: Path, saved: NotebookNode
):
    ours = list(our_outputs(saved))

    assert ours
    assert all({"text/plain", "text/html"} <= set(output.data) for output in ours)


def stand_ins(notebook: NotebookNode) -> list[str]:
    """Return the HTML that stands in for each widget: the output after it."""
    found = []
    for cell in code_cells(notebook):
        for output, after in pairwise([*cell.outputs, None]):
            if WIDGET_VIEW in output.get("data", {}):
                found.append(after.data["text/html"] if after else "")
    return found


@EACH_OF_WIDGETS
def test_as_saved_each_widget_has_a_stand_in_without_scripts(path: Path, saved: NotebookNode):
    pages = [Page(html) for html in stand_ins(saved)]

    assert len(pages) >= 2
    assert [page.text for page in pages if page.scripts or not page.text.strip()] == []
    assert any(page.pictures for page in pages)
    assert all(src.startswith("data:image/") for page in pages for src in page.pictures)


@EACH_OF_WIDGETS
@pytest.mark.parametrize("template", ["lab", "basic"])
def test_exported_the_stand_ins_are_read_and_no_error(
    path: Path, saved: NotebookNode, template: str
):
    html, _ = HTMLExporter(template_name=template).from_notebook_node(saved)
    bare = Page(re.sub(r"<script\b.*?</script>", "", html, flags=re.DOTALL))
    pictures = {src for html in stand_ins(saved) for src in Page(html).pictures}

    assert pictures <= set(bare.pictures)
    assert "model not found" not in bare.text


# Exported


class Page(HTMLParser):
    """The readable text, the images and the number of scripts of an HTML page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.pictures, self.scripts, self._silent = "", [], 0, 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        self._silent += tag in ("script", "style")
        if tag == "img":
            self.pictures.append(dict(attrs).get("src") or "")

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        self.text += "" if self._silent else data


@pytest.mark.parametrize("template", ["lab", "basic"])
@EACH_OF_CARDS
def test_exported_it_reads_without_any_script(path: Path, saved: NotebookNode, template: str):
    html, _ = HTMLExporter(template_name=template).from_notebook_node(saved)
    bare = Page(re.sub(r"<script\b.*?</script>", "", html, flags=re.DOTALL))

    assert bare.scripts == 0
    assert pictures_of(saved)
    assert pictures_of(saved) <= set(bare.pictures)
    assert [text for text in shown_captions(saved) if text not in bare.text] == []


@EACH_OF_CARDS
def test_our_outputs_hold_no_script_and_embed_their_pictures(path: Path, saved: NotebookNode):
    pages = [Page(output.data["text/html"]) for output in our_outputs(saved)]

    assert sum(page.scripts for page in pages) == 0
    assert all(src.startswith("data:image/jpeg;base64,") for p in pages for src in p.pictures)


def pictures_of(notebook: NotebookNode) -> set[str]:
    return {src for o in our_outputs(notebook) for src in Page(o.data["text/html"]).pictures}


def shown_captions(notebook: NotebookNode) -> list[str]:
    """Return the sentences that clip said, as the JSON beside the outputs holds them."""
    found = [json.loads(text)[0] for _, text in captions(notebook)]
    return [text for text in found if text and " " in text and ", " not in text[:12]]


# Secrets

ID_CANARY = "canary-id-5f2b9c71"
SECRET_CANARY = "canary+secret/0d9e7a44c1b8=="
BOTH = f"key {ID_CANARY} with {SECRET_CANARY}"
PICTURE = "https://example.invalid/cat.png"
# Answers by the image that is asked about; everything else is a success.
ANSWERS: dict[str, Reply] = {
    "refused": refusal("400", f"{BOTH} is bad"),
    "unauthorized": refusal("401", f"{BOTH} is not known", status=401),
    "caption": ok(status=2, caption=f"a caption that repeats {BOTH}"),
    "failed": ok(status=0, errorMessage=f"failed with {BOTH}"),
    "redirect": Reply(status=302, headers={"Location": f"https://elsewhere.invalid/?{BOTH}"}),
    "webpage": Reply(f"<html>{BOTH}</html>".encode()),  # the task is then found by asking for it
    "slow": Reply(ok(status=2, caption="a cat").body, delay=8),
}
KIND = ("caption", "webpage")
INTERRUPTED = f"""\
import os, signal, threading
threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGINT)).start()
%imgopen describe {PICTURE}?slow"""
REFUSED_CONNECTION = f"""\
import socket, imgopen_nb
with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
lonely = imgopen_nb.Session(f"http://127.0.0.1:{{port}}")
lonely.manager.backend.client()._sleep = lambda seconds: None
lonely.run("describe", image="{PICTURE}")"""
OWN_MISTAKE = f"""\
def handler(session, settings, client):
    keys = settings.keys
    session.submit("describe", image="{PICTURE}")
    raise RuntimeError("a mistake of the user's own")
handler(session, session.settings, session.manager.backend.http)"""
# (code, whether the cell fails)
CELLS: list[tuple[str, bool]] = [
    ("%load_ext imgopen_nb", False),
    (f"%imgopen describe {PICTURE}", False),
    ("import imgopen_nb\nsession = imgopen_nb.current()\nrepr(session)", False),
    ("session.settings", False),
    ("session.settings.keys, [*map(str, [session.settings.keys.secret])]", False),
    ("vars(session.settings)", False),
    ("print(session.manager.backend.client, session.manager.backend.client.__dict__)", False),
    ("%imgopen config", False),
    ("%xmode Verbose", False),
    *((f"%imgopen describe {PICTURE}?{name}", name not in KIND) for name in [*ANSWERS][:-1]),
    (REFUSED_CONNECTION, True),
    (OWN_MISTAKE, True),
    (INTERRUPTED, True),
    ("%tb", True),  # shows the last error again, as an error
    (f"%imgopen describe {PICTURE} --access-key-secret x", True),
    ("import logging; logging.basicConfig(level=10, force=True)", False),
    (f"%imgopen describe {PICTURE}?logged", False),
    (f"%imgopen compare {PICTURE} {PICTURE}?caption {PICTURE}?refused", False),
    ("%imgopen history", False),
    ("session.history()", False),
    ("%whos", False),
]


def by_picture(request: Request) -> Reply:
    name = str((request.body or {}).get("image", "")).partition("?")[2]
    return ANSWERS.get(name, ok(status=2, caption="a cat"))


@pytest.fixture(scope="module")
def canaries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[NotebookNode, Path, Stub]]:
    """Run a notebook with keys against a stub; yield it, the folder of all it left, the stub."""
    folder = tmp_path_factory.mktemp("canaries")
    cells = [
        new_code_cell(code, metadata={"tags": ["raises-exception"] if fails else []})
        for code, fails in CELLS
    ]
    with Stub() as stub, (folder / "kernel.log").open("wb") as log:
        stub.answer = by_picture
        env = {**environment(folder), "IMGOPEN_BASE_URL": stub.url, "PYTHONFAULTHANDLER": "1"}
        env |= {KEY_ID: ID_CANARY, KEY_SECRET: SECRET_CANARY}
        on_disk = {"ipython_hist_file": ""}  # the kernel's usual one, not nbclient's in memory
        notebook = new_notebook(cells=cells)
        execute(notebook, env, folder, options=on_disk, stdout=log, stderr=log)
        nbformat.write(notebook, folder / "run.ipynb")
        yield notebook, folder, stub


def holding(folder: Path, *needles: str) -> list[str]:
    """Return the files below a folder that hold one of the texts, however it is encoded."""
    forms = [json.dumps(needle)[1:-1].encode() for needle in needles]
    forms += [needle.encode(code) for needle in needles for code in ("utf-8", "utf-16-le")]
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [str(p.relative_to(folder)) for p in files if any(f in p.read_bytes() for f in forms)]


@pytest.mark.kernel
def test_the_keys_were_used_and_every_cell_ended_as_planned(
    canaries: tuple[NotebookNode, Path, Stub],
):
    """Without this the search below would prove nothing."""
    notebook, folder, stub = canaries

    sent = {k.lower(): v for k, v in stub.requests[0].headers.items()}
    assert sent["x-request-req-accesskeyid"] == ID_CANARY
    assert sent["x-request-req-accesskeysecret"] == SECRET_CANARY
    wrong = [(c.source, c.outputs) for c in notebook.cells if failed(c) != may_fail(c)]
    assert wrong == []
    kept = holding(folder, PICTURE)
    assert {"run.ipynb", "ipython/profile_default/history.sqlite"} <= set(kept)
    assert any(name.startswith("home/imgopen.sqlite") for name in kept)  # itself or its -wal


@pytest.mark.kernel
def test_the_keys_are_nowhere_in_what_a_notebook_leaves(canaries: tuple[NotebookNode, Path, Stub]):
    """Neither in the notebook nor in IPython's history, our home or what the kernel printed."""
    notebook, folder, _ = canaries

    leaking = [c.source for c in notebook.cells if tells(c, ID_CANARY, SECRET_CANARY)]
    assert (leaking, holding(folder, ID_CANARY, SECRET_CANARY)) == ([], [])


# What is no key, by the source that gives it.
ODD_ID, ODD_SECRET = "canary-\u00efd-41c7\nmore", 'canary-secret\r\nX-Evil: 8e"d0'
ODD_CELLS = (
    "%imgopen describe https://example.invalid/cat.png",
    "import imgopen_nb; imgopen_nb.Session()",
    "imgopen_nb.current().run('describe', image='https://example.invalid/cat.png')",
    "%imgopen config",
    "%imgopen doctor --leaks",
    "imgopen_nb.Session(home='broken')",  # its keys.json is cut off
    "%tb",
)


@pytest.mark.kernel
def test_odd_keys_are_nowhere_in_what_a_notebook_leaves(tmp_path: Path):
    """7 cells in each of four modes of tracebacks; the keys come from files and the environment."""
    (tmp_path / "broken").mkdir()
    pair = json.dumps({"access_key_id": ODD_ID, "access_key_secret": ODD_SECRET})
    (tmp_path / "broken" / "keys.json").write_text(pair[:-1])
    (tmp_path / "broken" / "keys.json").chmod(0o600)
    cells = [
        new_code_cell(code, metadata={"tags": ["raises-exception"]})
        for mode in ("Plain", "Context", "Verbose", "Minimal")
        for code in (f"%xmode {mode}", *ODD_CELLS)
    ]
    env = {**environment(tmp_path), KEY_ID: ODD_ID, KEY_SECRET: ODD_SECRET}
    notebook = new_notebook(cells=cells)
    with (tmp_path / "kernel.log").open("wb") as log:
        options = {"ipython_hist_file": ""}
        execute(notebook, env, tmp_path, options=options, stdout=log, stderr=log)
    (tmp_path / "broken" / "keys.json").unlink()
    nbformat.write(notebook, tmp_path / "run.ipynb")

    refused = [cell for cell in notebook.cells if "SettingsError" in json.dumps(cell.outputs)]
    assert len(refused) >= 4 * 4
    pieces = ("canary", "41c7", 'X-Evil: 8e"d0', repr(ODD_ID)[1:-1], ODD_SECRET[::-1])
    leaking = [cell.source for cell in notebook.cells if tells(cell, *pieces)]
    assert (leaking, holding(tmp_path, *pieces)) == ([], [])


def tells(cell: NotebookNode, *needles: str) -> bool:
    text = json.dumps(cell.outputs)
    return any(form in text for n in needles for form in (n, json.dumps(n)[1:-1]))


# How a service may write the keys into JSON: as they are, with "/" escaped (PHP), "=" (Gson).
SPELLINGS = {
    "plain": BOTH,
    "escaped slash": BOTH.replace("/", "\\/"),
    "escaped signs": BOTH.replace("=", "\\u003d").replace("+", "\\u002b"),
    "twice": json.dumps(json.dumps(BOTH.replace("/", "\\/")))[1:-1],
}


@pytest.mark.parametrize(
    "spelling",
    [pytest.param(text, id=name) for name, text in SPELLINGS.items()],
)
def test_a_key_that_the_service_echoes_is_hidden_however_it_is_spelled(
    spelling: str, stub: Stub, tmp_path: Path
):
    stub.replies(Reply(b'{"code": "400", "msg": "' + spelling.encode() + b'", "data": null}'))

    with Session(stub.url, ID_CANARY, SECRET_CANARY, home=tmp_path) as session:
        with pytest.raises(BadRequestError) as caught:
            session.run("describe", image=PICTURE)
        assert SECRET_CANARY not in str(caught.value)
        assert holding(tmp_path, ID_CANARY, SECRET_CANARY) == []


def test_the_sandbox_keeps_no_key_of_the_real_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(KEY_ID, ID_CANARY)
    monkeypatch.setenv(KEY_SECRET, SECRET_CANARY)
    headers = {
        "X-Request-req-accessKeyId": ID_CANARY,
        "X-Request-req-accessKeySecret": SECRET_CANARY,
        "Authorization": f"Bearer {SECRET_CANARY}",
    }

    with SandboxProcess.start(tmp_path) as sandbox:
        api = Api(sandbox, headers)
        picture = api.upload((FOLDER.parent / "imgopen_nb/images/samples/coffee.jpg").read_bytes())
        api.call("describe", {"image": picture["data"]["url"], "businessTaskId": "kept-task"})
        assert api.ended("describe", "kept-task")["data"]["status"] == 2
        api.call("describe", {"image": "", "businessTaskId": 1})
        api.http.get(f"{sandbox.url}/nothing/here", timeout=10)

    assert holding(tmp_path, "kept-task")
    assert holding(tmp_path, SECRET_CANARY, ID_CANARY) == []
