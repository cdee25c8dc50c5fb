"""What people see: the notebooks in a real JupyterLab, and the exported pages, in Chromium.

Every picture of the screen goes to artifacts/, to be looked at.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook
from playwright import sync_api
from playwright.sync_api import Browser, Locator, Page

from .stub import Reply, Request, Stub, ok, refusal

pytestmark = [pytest.mark.browser, pytest.mark.kernel]

PROJECT = Path(__file__).parents[1]
ARTIFACTS = PROJECT / "artifacts"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
)  # fmt: skip
TOKEN = "a-token-for-the-test"
MOST_BYTES = 400_000
LEAST_CONTRAST = 4.5  # WCAG 2.2 AA for text of any size
# Messages of JupyterLab itself: (part of the text, why it is no concern of ours).
NOISE = [
    ("favicon", "Lab changes its icon while a kernel is busy"),
    ("ResizeObserver loop", "Chromium says so when Lab lays out many cells at once"),
    ("/api/kernels/", "a socket that Lab closes while it shuts a kernel down"),
]

OURS = '[class^="imgopen-"]'
CARD = f"{OURS} .card"
OUTPUT = ".jp-OutputArea-output"

# Whether the kernel of the notebook in front is there and has nothing to do.
READY = """() => {
  const kernel = window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel;
  return kernel?.connectionStatus === 'connected' && kernel.status === 'idle';
}"""

# Whether every cell has its number: Lab's command returns before that when a cell has failed.
ALL_RUN = """() => [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')]
  .every(prompt => /\\[\\d+\\]/.test(prompt.textContent))"""

# The picture must have arrived, and it must have pixels.
LOADED = """images => images.map(image => image.complete && image.naturalWidth > 0)"""

# Contrast of every piece of text below a selector with what is painted behind it: backgrounds and
# opacities of all ancestors are laid over each other, as the browser does it.
CONTRAST = """selector => {
  const dark = matchMedia('(prefers-color-scheme: dark)').matches;
  const canvas = dark ? [18, 18, 18] : [255, 255, 255];
  const parse = text => {
    const n = text.match(/-?[\\d.]+(e-?\\d+)?/g).map(Number);
    const scale = text.startsWith('color(') ? 255 : 1;
    return [n[0] * scale, n[1] * scale, n[2] * scale, n.length > 3 ? n[3] : 1];
  };
  const mix = (over, under, a) => over.map((v, i) => v * a + under[i] * (1 - a));
  const paint = (chain, at, behind) => {
    const style = getComputedStyle(chain[at]);
    const back = parse(style.backgroundColor), fore = parse(style.color);
    let ground = mix(back.slice(0, 3), behind, back[3]);
    let ink = mix(fore.slice(0, 3), ground, fore[3]);
    if (at + 1 < chain.length) [ground, ink] = paint(chain, at + 1, ground);
    const opacity = Number(style.opacity);
    return [mix(ground, behind, opacity), mix(ink, behind, opacity)];
  };
  const light = rgb => {
    const l = rgb.map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * l[0] + .7152 * l[1] + .0722 * l[2];
  };
  const seen = element => [...element.childNodes].some(n => n.nodeType === 3 && n.data.trim())
    && !element.closest('style') && element.getClientRects().length > 0
    && element.getBoundingClientRect().width > 1;
  return [...document.querySelectorAll(selector + ' *')].filter(seen).map(element => {
    const chain = [];
    for (let e = element; e; e = e.parentElement) chain.unshift(e);
    const [a, b] = paint(chain, 0, canvas).map(light);
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    const where = element.tagName.toLowerCase() + '.' + element.className
      + ' in .' + element.parentElement.className;
    return [Math.round(ratio * 100) / 100, where, element.textContent.trim().slice(0, 40)];
  });
}"""

# What sticks out of the window to the right, the widest first; scrolling boxes may be wider inside.
TOO_WIDE = """() => {
  const root = document.documentElement, edge = root.clientWidth;
  const inside = e => { for (let p = e.parentElement; p && p !== document.body; p = p.parentElement)
    if (getComputedStyle(p).overflowX !== 'visible') return true; return false; };
  const out = [...document.body.querySelectorAll('*')]
    .filter(e => e.getBoundingClientRect().right > edge + 1 && !inside(e))
    .map(e => e.tagName + '.' + e.className + ' ' + Math.round(e.getBoundingClientRect().right));
  return root.scrollWidth > edge ? [root.scrollWidth + ' > ' + edge, ...out.slice(0, 8)] : [];
}"""


# Chromium and JupyterLab


def find_chromium() -> str | None:
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Start Chromium; without one, fail in CI and skip elsewhere."""
    path = find_chromium()
    if path is None:
        stop: Callable[[str], Any] = pytest.fail if os.environ.get("CI") else pytest.skip
        stop("the browser tests need chromium: sudo apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


class Lab:
    """A JupyterLab with a configuration, a data folder and a home of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "notebooks"
        self.root.mkdir()
        self._write_settings()
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.url = f"http://127.0.0.1:{free.getsockname()[1]}"
        self._process = self._start()

    def address(self, name: str) -> str:
        # A workspace of its own has Lab open this notebook and nothing from before.
        return f"{self.url}/lab/workspaces/{Path(name).stem}/tree/{name}?token={TOKEN}"

    def put(self, name: str, notebook: NotebookNode) -> Path:
        nbformat.write(notebook, self.root / name)
        return self.root / name

    def stop(self) -> None:
        """End Lab the way Ctrl-C does, so that it ends its kernels."""
        self._process.terminate()
        self._process.wait(20)

    def _write_settings(self) -> None:
        """Have no questions about news or updates appear over the notebook."""
        settings = self.folder / "settings/@jupyterlab/apputils-extension"
        settings.mkdir(parents=True)
        quiet = {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True}
        (settings / "notification.jupyterlab-settings").write_text(json.dumps(quiet), "utf-8")

    def _environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("IMGOPEN_", "JUPYTER"))}
        own = {
            "JUPYTER_CONFIG_DIR": "config",
            "JUPYTER_DATA_DIR": "data",
            "JUPYTER_RUNTIME_DIR": "runtime",
            "JUPYTERLAB_SETTINGS_DIR": "settings",
            "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
            "IPYTHONDIR": "ipython",
            "IMGOPEN_HOME": "home",
        }
        return {**kept, **{name: str(self.folder / place) for name, place in own.items()}}

    def _start(self) -> subprocess.Popen[bytes]:
        options = {
            "ServerApp.port": self.url.rpartition(":")[2],
            "ServerApp.port_retries": 0,
            "ServerApp.root_dir": self.root,
            "IdentityProvider.token": TOKEN,
            "LabApp.expose_app_in_browser": True,
        }
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
        command += [f"--{name}={value}" for name, value in options.items()]
        log = self.folder / "lab.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                command, env=self._environment(), cwd=self.folder, stdout=out, stderr=out
            )
        self._wait(process, log)
        return process

    def _wait(self, process: subprocess.Popen[bytes], log: Path, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and process.poll() is None:
            try:
                urllib.request.urlopen(f"{self.url}/api?token={TOKEN}", timeout=5).close()
                return
            except OSError:
                time.sleep(0.1)
        process.kill()
        pytest.fail(f"JupyterLab did not start:\n{log.read_text()[-2000:]}")


class Sheet:
    """A notebook open in JupyterLab, and everything that the page complained about or fetched."""

    def __init__(self, lab: Lab, browser: Browser, name: str, **options: Any) -> None:
        self.path = lab.root / name
        wanted = {"viewport": {"width": 1200, "height": 1400}, **options}
        self.page = browser.new_context(**wanted).new_page()
        self.page.set_default_timeout(30_000)
        self.complaints: list[str] = []
        self.fetched: list[str] = []
        self._listen()
        self.page.goto(lab.address(name))
        self.page.wait_for_selector(".jp-Notebook .jp-Cell")

    def _listen(self) -> None:
        self.page.on("console", lambda m: m.type == "error" and self._note(m.text, m.location))
        self.page.on("pageerror", lambda error: self._note(str(error), {}))
        self.page.on("dialog", lambda box: (self._note("dialog", {}), box.dismiss()))
        self.page.on("request", lambda request: self.fetched.append(request.url))

    def _note(self, text: str, location: Any) -> None:
        said = f"{text} {location.get('url', '')}"
        if not any(part in said for part, _ in NOISE):
            self.complaints.append(said)

    def command(self, name: str, **arguments: Any) -> None:
        """Execute a command of JupyterLab, and wait until it is done."""
        code = """([name, args]) => {
          window.pending = true;
          window.jupyterapp.commands.execute(name, args).then(() => { window.pending = false; });
        }"""
        self.page.evaluate(code, [name, arguments])
        self.page.wait_for_function("() => !window.pending", timeout=90_000)

    def run_all(self) -> None:
        """Run All Cells once the kernel is there, until none is busy any more."""
        self.page.wait_for_function(READY)  # else Lab asks which kernel to start
        self.command("notebook:run-all-cells")
        self.page.wait_for_function(ALL_RUN, timeout=90_000)

    def cell(self, source: str) -> Locator:
        return self.page.locator(".jp-CodeCell").filter(
            has=self.page.locator(".jp-InputArea-editor", has_text=source)
        )

    def text(self, selector: str) -> list[str]:
        """Return texts, those of cells that are out of sight included."""
        return self.page.locator(selector).evaluate_all("all => all.map(e => e.textContent.trim())")

    def captions(self) -> str:
        return "\n".join(self.text(f"{OURS} .caption"))

    def theme(self, name: str) -> None:
        self.command("apputils:change-theme", theme=f"JupyterLab {name}")
        light = "true" if name == "Light" else "false"
        body = f'body[data-jp-theme-light="{light}"]'
        self.page.wait_for_selector(body, state="attached")

    def save(self) -> None:
        """Press Ctrl+S and wait until the file is written and nothing is left to save."""
        before = self.path.stat().st_mtime_ns
        self.page.keyboard.press("Escape")
        self.page.keyboard.press("Control+s")
        self.page.wait_for_selector(".jp-mod-dirty", state="detached")
        wait_until(lambda: self.path.stat().st_mtime_ns > before)

    def shot(self, name: str) -> None:
        """Put a picture of the whole notebook into artifacts/."""
        size = self.page.viewport_size
        tall = self.page.evaluate(
            "Math.max(...[...document.querySelectorAll('.jp-WindowedPanel-outer')]"
            ".map(e => e.scrollHeight))"
        )
        self.page.set_viewport_size({"width": size["width"], "height": min(tall + 150, 6000)})
        self.page.evaluate(
            "new Promise(done => requestAnimationFrame(() => setTimeout(done, 150)))"
        )
        snap(self.page, name, full=False)
        self.page.set_viewport_size(size)

    def close(self) -> None:
        """Shut the kernel down and close the page, so that one test leaves the next its CPU."""
        self.command("notebook:shutdown-kernel")
        self.page.context.close()


def wait_until(done: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def snap(page: Page, name: str, full: bool = True) -> None:
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTIFACTS / f"{name}.png", full_page=full)


def without_outputs(name: str) -> NotebookNode:
    notebook = nbformat.read(PROJECT / "notebooks" / name, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


def faint(page: Page, selector: str = OURS) -> list[Any]:
    """Return every text whose contrast is too low, as (ratio, element, text)."""
    found = page.evaluate(CONTRAST, selector)
    assert found, f"no text in {selector}"
    return [row for row in found if row[0] < LEAST_CONTRAST]


def broken_pictures(page: Page, selector: str = f"{OURS} img") -> list[int]:
    """Return the places of the pictures that did not load; there must be some."""
    loaded = page.locator(selector).evaluate_all(LOADED)
    assert loaded, f"no pictures in {selector}"
    return [place for place, good in enumerate(loaded) if not good]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as started:
        yield started


@pytest.fixture(scope="module")
def lab(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    running = Lab(tmp_path_factory.mktemp("lab"))
    yield running
    running.stop()


@contextmanager
def running(lab: Lab, browser: Browser, name: str) -> Iterator[Sheet]:
    """Open a notebook of ours without its outputs and run it."""
    lab.put(name, without_outputs(name))
    sheet = Sheet(lab, browser, name)
    sheet.run_all()
    yield sheet
    sheet.close()


# The first notebook


@pytest.fixture(scope="module")
def quickstart(lab: Lab, browser: Browser) -> Iterator[Sheet]:
    with running(lab, browser, "01_quickstart.ipynb") as sheet:
        yield sheet


def test_the_quickstart_shows_captions_and_pictures(quickstart: Sheet):
    """After Run All Cells the cards are there, with their pictures, and say "sandbox"."""
    assert "cat" in quickstart.captions()
    assert {"person", "uniform"} <= set(re.findall(r"[a-z]+", " ".join(quickstart.text(".chip"))))
    assert set(quickstart.text(f"{CARD} .badge")) == {"sandbox"}
    assert broken_pictures(quickstart.page) == []


def test_an_error_is_one_short_message(quickstart: Sheet):
    output = quickstart.cell("--modle").locator(OUTPUT)

    assert quickstart.page.locator(".jp-RenderedText[data-mime-type*=stderr]").count() == 1
    assert output.inner_text().strip().splitlines() == [
        "UnknownNameError: there is no option of %imgopen describe called '--modle'",
        "  → did you mean --model?",
    ]


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_the_quickstart_is_readable_in_both_themes(quickstart: Sheet, theme: str):
    quickstart.theme(theme)
    quickstart.shot(f"lab-quickstart-{theme.lower()}")
    low = faint(quickstart.page)
    quickstart.theme("Light")

    assert low == []


def test_tab_offers_and_inserts_verbs_and_samples(quickstart: Sheet):
    """`%imgopen des`, Tab, ` sample:ch`, Tab: a whole line with hardly any typing."""
    page = quickstart.page
    page.locator(".jp-Cell").last.click()
    page.keyboard.press("Escape")
    page.keyboard.press("b")
    page.keyboard.press("Enter")
    page.keyboard.type("%imgopen des")
    complete(page, "describe")
    page.keyboard.type(" sample:c")
    complete(page, "sample:chelsea")

    assert editor(page).text_content() == "%imgopen describe sample:chelsea"
    delete_cell(page)


def complete(page: Page, word: str) -> None:
    """Press Tab and choose the word among what is offered, by its end as Lab shows it."""
    page.keyboard.press("Tab")
    offers = page.locator(".jp-Completer-item", has_text=word.rpartition(":")[2])
    offers.first.wait_for()
    snap(page, f"lab-tab-{word.partition(':')[0]}", full=False)
    offers.first.click()
    page.wait_for_function(f"() => document.activeElement.textContent.endsWith({word!r})")


def editor(page: Page) -> Locator:
    return page.locator(".jp-Cell.jp-mod-active .cm-content")


def delete_cell(page: Page) -> None:
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    page.keyboard.press("d")
    page.keyboard.press("d")


def test_the_page_fetches_nothing_and_complains_about_nothing(quickstart: Sheet, lab: Lab):
    """Neither our HTML nor what it embeds goes to the network or into the browser's console."""
    foreign = [url for url in quickstart.fetched if not url.startswith((lab.url, "data:", "blob:"))]

    assert (quickstart.complaints, foreign) == ([], [])


def test_saved_and_reopened_without_a_kernel_it_still_reads(
    quickstart: Sheet, lab: Lab, browser: Browser
):
    """The reader has no kernel and does not trust the file: JupyterLab then strips our style."""
    quickstart.save()
    saved = nbformat.read(quickstart.path, as_version=4)
    assert quickstart.path.stat().st_size < MOST_BYTES

    sheet = reopened(lab, browser, "reopened.ipynb", saved)

    assert "cat" in " ".join(sheet.text(OURS))
    assert broken_pictures(sheet.page) == []
    assert sheet.complaints == []
    sheet.shot("lab-quickstart-untrusted")
    sheet.page.context.close()


def reopened(lab: Lab, browser: Browser, name: str, notebook: NotebookNode) -> Sheet:
    """Open a notebook whose kernel does not exist here, and choose none instead."""
    notebook.metadata = {"kernelspec": {"name": "not-here", "display_name": "x", "language": "x"}}
    lab.put(name, notebook)
    sheet = Sheet(lab, browser, name)
    sheet.page.locator(".jp-Dialog button.jp-mod-reject", has_text="No Kernel").click()
    sheet.page.wait_for_selector(".jp-Dialog", state="detached")
    return sheet


# The second notebook


@pytest.fixture(scope="module")
def comparison(lab: Lab, browser: Browser) -> Iterator[Sheet]:
    with running(lab, browser, "02_compare_captions.ipynb") as sheet:
        yield sheet


def test_the_comparison_shows_six_pictures_two_models_and_what_they_share(comparison: Sheet):
    said = comparison.captions()

    assert comparison.page.locator(f"{OURS} .pair").count() == 6
    assert comparison.page.locator(f"{OURS} .model").count() == 12
    assert all(word in said for word in ("cat", "espresso", "rocket", "person"))
    assert comparison.page.locator(f"{OURS} .pair .chip.shared").count() >= 6
    assert broken_pictures(comparison.page) == []


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_the_comparison_is_readable_in_both_themes(comparison: Sheet, theme: str):
    comparison.theme(theme)
    comparison.shot(f"lab-comparison-{theme.lower()}")
    low = faint(comparison.page)
    comparison.theme("Light")

    assert low == []


def test_the_saved_comparison_is_small_and_reads_without_a_kernel(
    comparison: Sheet, lab: Lab, browser: Browser
):
    comparison.save()
    saved = nbformat.read(comparison.path, as_version=4)
    assert comparison.path.stat().st_size < MOST_BYTES
    assert comparison.complaints == []

    sheet = reopened(lab, browser, "reopened-comparison.ipynb", saved)

    assert {"espresso", "rocket"} <= set(re.findall(r"\w+", " ".join(sheet.text(OURS))))
    assert broken_pictures(sheet.page) == []
    sheet.shot("lab-comparison-untrusted")
    sheet.page.context.close()


# Captions that want to be more than text

HACK = "window.hacked=1"
BIDI = "a harmless \u202ecat\u202c and \u2066more\u2069"
PRICES = "from $5 to $6, and \\(x^2\\)"
# What a caption says -> what must be readable on the page, letter by letter.
HOSTILE = {
    f'<img src=x onerror="{HACK}">': f'<img src=x onerror="{HACK}">',
    f"<script>{HACK}</script>": f"<script>{HACK}</script>",
    f"</div></style><svg onload={HACK}>": f"</div></style><svg onload={HACK}>",
    f"<a href='javascript:{HACK}'>click</a>": f"<a href='javascript:{HACK}'>click</a>",
    f"[click](javascript:{HACK})": f"[click](javascript:{HACK})",
    "http://example.org/x": "http://example.org/x",
    '<img src="http://example.org/pixel.png">': '<img src="http://example.org/pixel.png">',
    "/etc/passwd": "/etc/passwd",
    "{{ 7*7 }} {% raw %}": "{{ 7*7 }} {% raw %}",
    "<i>" + "long " * 20_000: "more characters",
    "W" * 5_000: "more characters",
    BIDI: "a harmless ⟨U+202E⟩cat⟨U+202C⟩ and ⟨U+2066⟩more⟨U+2069⟩",
    "قطة صغيرة جالسة": "قطة صغيرة جالسة",
}
PICTURE = "https://example.invalid/{}.png"
HOSTILE_CELLS = [
    "import os\nos.environ |= {settings!r}",
    "%load_ext imgopen_nb",
    *(f"%imgopen describe {PICTURE.format(i)}" for i in range(len(HOSTILE))),
    f"%imgopen describe {PICTURE.format('prices')}",
    f"%imgopen describe {PICTURE.format(1)} --model deepdanbooru",
    f"%imgopen describe {PICTURE.format('refused')}",
    f"%imgopen compare {' '.join(PICTURE.format(i) for i in range(len(HOSTILE)))}",
    "%imgopen history --limit 0",
]
MESSAGE = f"<img src=x onerror={HACK}> http://example.org/error"


def hostile(request: Request) -> Reply:
    """Answer with the caption whose number the picture's name gives."""
    name = Path(str((request.body or {}).get("image"))).stem
    if name == "prices":
        return ok(status=2, caption=PRICES)
    if not name.isdigit():
        return refusal("400", MESSAGE)
    caption = list(HOSTILE)[int(name)]
    return ok(status=2, caption=caption if len(caption) > 100 else f"{caption}, <b>{HACK}</b>")


@pytest.fixture(scope="module")
def hostile_sheet(
    lab: Lab, browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sheet]:
    with Stub() as stub:
        stub.answer = hostile
        settings = {"IMGOPEN_BASE_URL": stub.url, "IMGOPEN_ACCESS_KEY_ID": "an-id-of-no-use"}
        settings |= {"IMGOPEN_ACCESS_KEY_SECRET": "a-secret-of-no-use"}
        settings |= {"IMGOPEN_HOME": str(tmp_path_factory.mktemp("hostile"))}
        cells = [code.replace("{settings!r}", repr(settings)) for code in HOSTILE_CELLS]
        tagged = {"tags": ["raises-exception"]}
        made = new_notebook(cells=[new_code_cell(code, metadata=tagged) for code in cells])
        made.metadata = without_outputs("01_quickstart.ipynb").metadata
        lab.put("hostile.ipynb", made)
        sheet = Sheet(lab, browser, "hostile.ipynb")
        sheet.run_all()
        yield sheet
        sheet.close()


def test_hostile_captions_are_shown_letter_by_letter(hostile_sheet: Sheet):
    cards = hostile_sheet.text(f"{CARD}")
    shown = list(zip(HOSTILE.values(), cards, strict=False))

    hostile_sheet.shot("lab-hostile")
    assert len(cards) == len(HOSTILE) + 2
    assert [wanted for wanted, card in shown if wanted not in card] == []
    everywhere = [hostile_sheet.text(f"{OURS} {place}") for place in (".pair", "table.history tr")]
    assert [len(rows) >= len(HOSTILE) for rows in everywhere] == [True, True]
    assert [f"<script>{HACK}</script>" in " ".join(rows) for rows in everywhere] == [True, True]
    assert max(map(len, cards)) < 5_000
    assert MESSAGE in " ".join(hostile_sheet.text(OUTPUT))


def test_hostile_captions_run_nothing_and_fetch_nothing(hostile_sheet: Sheet, lab: Lab):
    hacked = hostile_sheet.page.evaluate("window.hacked")
    foreign = [u for u in hostile_sheet.fetched if not u.startswith((lab.url, "data:", "blob:"))]
    alive = (
        f"{OURS} script, {OURS} svg, {OURS} a[href^='javascript'], {OURS} a[href*='example.org']"
    )

    assert (hacked, foreign, hostile_sheet.complaints) == (None, [], [])
    assert hostile_sheet.page.locator(alive).count() == 0


def test_dollar_signs_are_no_formulas(hostile_sheet: Sheet):
    """JupyterLab sets $...$ in any HTML as a formula, unless an element's class forbids it."""
    assert PRICES in " ".join(hostile_sheet.text(CARD))
    assert hostile_sheet.page.locator(f"{OURS} mjx-container").count() == 0


def test_hostile_captions_do_not_break_the_layout(hostile_sheet: Sheet):
    """The longest word there is stays inside its output."""
    wide = """all => all.filter(e => e.scrollWidth > e.clientWidth + 1
      && getComputedStyle(e).overflowX === 'visible').map(e => e.className)"""

    assert hostile_sheet.page.locator(f"{OURS}, {OURS} div").evaluate_all(wide) == []


# Pages that stand alone


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The report of `imgopen demo`, and both notebooks exported in a light and a dark theme."""
    from nbconvert import HTMLExporter

    folder = tmp_path_factory.mktemp("pages")
    made = {"report": write_report(folder)}
    for path in sorted((PROJECT / "notebooks").glob("0[12]*.ipynb")):
        for theme in ("light", "dark"):
            html, _ = HTMLExporter(template_name="lab", theme=theme).from_filename(path)
            made[f"{path.stem}-{theme}"] = folder / f"{path.stem}-{theme}.html"
            made[f"{path.stem}-{theme}"].write_text(html, "utf-8")
    return made


def write_report(folder: Path) -> Path:
    """Run the command as people do: no key, a home of its own."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("IMGOPEN_")}
    report = folder / "report.html"
    command = [sys.executable, "-m", "imgopen_nb.cli", "demo", "--report", str(report)]
    done = subprocess.run(
        command,
        env={**kept, "IMGOPEN_HOME": str(folder / "home")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return report


DOCUMENTS = ["report", "01_quickstart", "02_compare_captions"]


@contextmanager
def still(
    browser: Browser, pages: dict[str, Path], name: str, theme: str, width: int
) -> Iterator[Page]:
    """Open a page with JavaScript disabled."""
    context = browser.new_context(
        java_script_enabled=False, color_scheme=theme, viewport={"width": width, "height": 900}
    )
    page = context.new_page()
    page.goto((pages.get(name) or pages[f"{name}-{theme}"]).as_uri())
    yield page
    context.close()


@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_page_without_javascript_shows_its_pictures_and_fits(
    browser: Browser, pages: dict[str, Path], name: str, theme: str, width: int
):
    with still(browser, pages, name, theme, width) as page:
        snap(page, f"{name}-{theme}-{width}")
        low, wide = faint(page), page.evaluate(TOO_WIDE)

        assert broken_pictures(page) == []
        assert all(map(Locator.is_visible, page.locator(f"{OURS} img").all()))
        assert (low, wide) == ([], [])


def test_the_report_reads_as_a_page(browser: Browser, pages: dict[str, Path]):
    """It has a title, a heading, six pictures with a text for those who do not see them."""
    with still(browser, pages, "report", "light", 1280) as page:
        pictures = page.locator("img")

        assert page.title() == page.locator("h1").text_content() == "Six photographs, two models"
        assert pictures.count() == 6
        assert all(picture.get_attribute("alt") for picture in pictures.all())
        assert faint(page, "body") == []


def test_the_report_fetches_nothing(browser: Browser, pages: dict[str, Path]):
    """It can be sent by mail and opened on a train."""
    page = browser.new_page()
    fetched: list[str] = []
    page.on("request", lambda request: fetched.append(request.url))
    page.goto(pages["report"].as_uri())
    page.close()

    assert [url for url in fetched if not url.startswith(("file:", "data:"))] == []
