"""One sandbox for a long day: every engine in turn, 10,000 requests, and 100 broken images."""

from __future__ import annotations

import http.client
import http.server
import io
import os
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
from PIL import Image

from imgopen_nb.catalogue.operations import OPERATIONS
from imgopen_nb.errors import PictureError
from imgopen_nb.images.picture import samples
from imgopen_nb.sandbox.jobs.pictures import decode
from imgopen_nb.sandbox.process import TOKEN_HEADER, SandboxProcess

from ..broken_images import corpus
from ..conftest import often
from ..odd_requests import MAKERS, PATHS, Client, put_in, send
from ..sandbox_fixtures import Api, headers_of, new_key

# What Pillow says of a broken TIFF.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")

MOST_MEMORY = 1_000_000_000
THREADS = 4
SLOW = 200.0  # seconds; only a task that hangs takes so long

# What each operation is given beside its images; "FACE" ... stand for their URLs.
CALLS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("describe", {"image": "FACE", "model": "clip"}),
    ("describe", {"image": "PHONE", "model": "deepdanbooru"}),
    ("style", {"image": "PHONE"}),
    ("detect-faces", {"image": "PHONE"}),
    ("face-swap", {"face": "OTHER", "image": "LARGE"}),
    ("face-swap-v2", {"face": "OTHER", "image": "LARGE", "fidelity": 0.2}),
    ("face-fusion", {"faces": ["OTHER", "FACE"], "image": "LARGE"}),
    ("face-restore", {"image": "LARGE", "fidelity": 0.0}),
    ("instant-id", {"image": "LARGE", "prompt": "a knight", "seed": 1}),
    ("remove-background", {"image": "LARGE"}),
    ("upscale", {"image": "CAT", "scale": 4}),
    ("enlarge", {"image": "LARGE", "scale": 2}),
    ("watermark", {"image": "LARGE", "text": "imgopen", "position": "tile"}),
    ("watermark", {"image": "CAT", "watermark": "OTHER"}),
    ("erase", {"image": "LARGE", "mask": "LARGE_MASK"}),
    ("outpaint", {"image": "CAT", "horizontal": 1.3, "vertical": 1.2, "count": 1, "seed": 1}),
    ("hairstyle", {"image": "OTHER", "hair": "red"}),
    *(
        ("control-preview", {"image": "LARGE", "preprocessor": name})
        for name in ("canny", "softedge", "openpose", "segmentation")
    ),
    ("expand-prompt", {"prompt": "a girl", "count": 5}),
    ("text2image", {"prompt": "a fox", "batch_size": 2, "width": 1024, "height": 768}),
    ("image2image", {"image": "LARGE", "mask": "LARGE_MASK", "prompt": "a fox", "model": "x"}),
    ("controlnet", {"image": "LARGE", "prompt": "a fox", "control": {}, "resize_mode": 0}),
    ("flux", {"prompt": "a fox", "width": 1024, "height": 1024}),
    ("train", {"images": ["FACE", "LARGE", "CAT", "OTHER"] * 3}),
    ("training-result", {"task": "TRAINING"}),
    *((name, {}) for name in ("models", "loras", "vaes", "embeddings")),
)
QUERIES = {"query-v1", "query-v2", "query-tool"}


def jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def photo(name: str) -> Image.Image:
    return Image.open(samples()[name]).convert("RGB")


def hole(size: tuple[int, int]) -> Image.Image:
    """A mask of a tenth of an image."""
    mask = Image.new("L", size)
    mask.paste(255, (size[0] // 3, size[1] // 3, size[0] * 2 // 3, size[1] * 2 // 3))
    return mask


def album() -> dict[str, Image.Image]:
    face, cat = photo("astronaut"), photo("chelsea").resize((300, 200))
    large = face.crop((0, 0, 512, 384)).resize((2000, 1500))
    return {
        "FACE": face, "OTHER": photo("grace_hopper"), "CAT": cat, "LARGE": large,
        "LARGE_MASK": hole(large.size), "PHONE": large.resize((4000, 3000)),
    }  # fmt: skip


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    home = tmp_path_factory.mktemp("endurance")
    with SandboxProcess.start(home, "--training-seconds", "0") as running:
        yield running
        assert running.alive
        assert "Traceback" not in running.log.read_text()


@pytest.fixture
def api(sandbox: SandboxProcess) -> Api:
    return Api(sandbox)


@pytest.fixture(scope="module")
def pictures(sandbox: SandboxProcess) -> dict[str, str]:
    """The URL of each image of the album."""
    api = Api(sandbox)
    return {name: api.picture(jpeg(image)) for name, image in album().items()}


def memory(sandbox: SandboxProcess) -> int:
    """The most memory that the sandbox has held so far, or holds now where no one counts that."""
    status = Path(f"/proc/{sandbox.pid}/status")
    lines = status.read_text().splitlines() if status.exists() else []
    peak = [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")]
    return max([*peak, psutil.Process(sandbox.pid).memory_info().rss])


def test_all_engines_in_turn_stay_below_a_gigabyte(
    sandbox: SandboxProcess, api: Api, pictures: dict[str, str]
):
    """Every operation, with images up to the 12 megapixels of a telephone's camera."""
    assert {name for name, _ in CALLS} == set(OPERATIONS) - QUERIES
    known = dict(pictures)
    for name, given in CALLS:
        op, key = OPERATIONS[name], new_key(name)
        answer = api.call(name, op.body(op.check(put_in(given, known)), key))

        assert answer["code"] == "200", (name, answer)
        if name == "train":
            known["TRAINING"] = key
        elif op.query:
            answer = api.ended(name, key, SLOW)
            assert answer["data"]["status"] == 2, (name, answer)

        assert memory(sandbox) < MOST_MEMORY, name


def many_requests(
    api: Api, seed: int, pictures: list[str], number: int
) -> Counter[tuple[str, int, str]]:
    """Send a thread's share of the requests over one connection; count what comes back."""
    client = Client(random.Random(seed), pictures)
    parts, token = urlsplit(api.url), {TOKEN_HEADER: api.token}
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    seen: Counter[tuple[str, int, str]] = Counter()
    makers = client.chance.choices(list(MAKERS), list(MAKERS.values()), k=number)
    for make in makers:
        seen[(make.__name__, *send(connection, make(client), token))] += 1
    connection.close()
    return seen


@pytest.mark.soak
def test_thousands_of_requests_meet_no_failure_of_the_server(
    sandbox: SandboxProcess, api: Api, pictures: dict[str, str]
):
    """The same requests each time; the only 501 is of an operation that is not there."""
    number = often(2_000, 10_000)
    small = [api.picture(jpeg(photo("chelsea").resize((40 + n, 30)))) for n in range(9)]
    with ThreadPoolExecutor(THREADS) as threads:
        each = number // THREADS
        found = [threads.submit(many_requests, api, n, small, each) for n in range(THREADS)]
        seen = sum((one.result() for one in found), Counter[tuple[str, int, str]]())

    assert seen.total() == number
    assert not [row for row in seen if row[1] >= 500 or row[2].startswith("5")], seen
    assert {make.__name__ for make in MAKERS} == {row[0] for row in seen}
    assert sandbox.alive
    assert memory(sandbox) < MOST_MEMORY
    key = new_key("after")
    api.call("describe", {"image": pictures["CAT"], "businessTaskId": key})
    assert "cat" in api.ended("describe", key, SLOW)["data"]["caption"]


def test_a_refusal_before_the_body_is_read_says_that_the_connection_ends(sandbox: SandboxProcess):
    """A client that keeps connections would lose its next request."""
    parts = urlsplit(sandbox.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    connection.request("POST", PATHS[0], b"{}", {"Origin": "http://evil.example"})
    answer = connection.getresponse()

    assert (answer.status, answer.getheader("Connection")) == (403, "close")
    connection.close()


# Broken images

# Those that make sense where a refusal is an answer of status 200.
CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance",
    "response_schema_conformance",
)  # fmt: skip
# Operation, the wire field of the broken image, what else it is given, and of how many images
# that can be read one is taken: those cost the time of a network.
TAKERS: tuple[tuple[str, str, dict[str, Any], int], ...] = (
    ("describe", "image", {"model": "clip"}, 2),
    ("detect-faces", "imageUrl", {}, 1),
    ("remove-background", "sourceImage", {}, 5),
    ("upscale", "sourceImage", {"scale": 2}, 1),
    ("erase", "maskImage", {"sourceImage": "CAT"}, 1),
    ("watermark", "watermarkImage", {"sourceImage": "CAT"}, 1),
    ("face-fusion", "sourceUrl", {"targetUrl": "OTHER"}, 1),
)


def unreadable(data: bytes) -> str:
    """What is to be said of a file, "" where there is an image to be had from it."""
    try:
        decode(data)
    except PictureError as error:
        return error.message
    return ""


class Shelf(http.server.BaseHTTPRequestHandler):
    """Serves the files of the corpus as images, whatever they are."""

    files: dict[str, bytes]

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.files[self.path])

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def broken() -> Iterator[dict[str, tuple[str, str]]]:
    """The URL of each file of the corpus (most would not pass as uploads), and what ails it."""
    files = corpus()
    Shelf.files = {f"/{number}.png": data for number, data in enumerate(files.values())}
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Shelf) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_address[1]}"
        yield {
            what: (f"{base}/{number}.png", unreadable(data))
            for number, (what, data) in enumerate(files.items())
        }
        server.shutdown()


@pytest.mark.parametrize(("name", "field", "more", "each"), TAKERS, ids=[r[0] for r in TAKERS])
def test_each_broken_picture_ends_its_task_in_one_sentence_that_names_the_field(
    name: str, field: str, more: dict[str, Any], each: int, sandbox: SandboxProcess, api: Api,
    pictures: dict[str, str], broken: dict[str, tuple[str, str]],
):  # fmt: skip
    """One that can be read after all is worked on, or refused for what is on it."""
    sound = [what for what, (_, ailment) in broken.items() if not ailment]
    assert len(broken) - len(sound) >= 60
    keys = {what: new_key() for what in broken if what not in sound or what in sound[::each]}
    for what in keys:
        url = broken[what][0]
        given = {field: [url] if name == "face-fusion" else url, **put_in(more, pictures)}
        assert api.call(name, {"businessTaskId": keys[what], **given})["code"] == "200", what
    for what, key in keys.items():
        answer, ailment = api.ended(name, key, SLOW), broken[what][1]
        said = answer["msg"]

        assert answer["data"]["status"] == (0 if said != "success" else 2), answer
        assert not ailment or (field in said and said.endswith(ailment)), (what, said)
        assert len(said) < 200, (what, said)
        assert "Error" not in said, (what, said)
    assert memory(sandbox) < MOST_MEMORY


@pytest.mark.skipif(
    find_spec("schemathesis") is None and not os.environ.get("CI"),
    reason="`make soak` installs schemathesis",
)
def test_schemathesis_finds_no_fault(sandbox: SandboxProcess, tmp_path: Path):
    """As many cases as IMGOPEN_FUZZ says for each operation, and 2,700 that cover their schemas."""
    command = [
        sys.executable, "-m", "schemathesis.cli", "run", f"{sandbox.url}/openapi.json",
        "--checks", ",".join(CHECKS), "--phases", "examples,coverage,fuzzing", "--seed", "1",
        "--max-examples", os.environ.get("IMGOPEN_FUZZ", "5"), "--suppress-health-check", "all",
        "--warnings", "off", "--no-color",
        *(word for pair in headers_of(sandbox).items() for word in ("-H", ": ".join(pair))),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    print(done.stdout[-500:])

    assert done.returncode == 0, done.stdout + done.stderr
    assert sandbox.alive
    assert memory(sandbox) < MOST_MEMORY
