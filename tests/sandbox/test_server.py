"""The sandbox over HTTP: every operation's path, its answers, and everything that goes wrong."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import requests

from imgopen_nb.catalogue.operation import PREFIX, Operation
from imgopen_nb.catalogue.operations import OPERATIONS
from imgopen_nb.sandbox.http import responses
from imgopen_nb.sandbox.http.server import page, table
from imgopen_nb.sandbox.jobs import jobs as jobs_module
from imgopen_nb.sandbox.jobs.engine_loader import EngineLoader
from imgopen_nb.sandbox.jobs.job import Job
from imgopen_nb.sandbox.jobs.jobs import Jobs
from imgopen_nb.sandbox.jobs.store import FileStore
from imgopen_nb.sandbox.jobs.work import JobWork
from imgopen_nb.sandbox.jobs.worker import WorkQueue
from imgopen_nb.sandbox.messages import WireError
from imgopen_nb.sandbox.process import SandboxProcess

from ..sandbox_fixtures import (
    Api,
    command,
    new_key,
    noisy_jpeg,
    picture_bytes,
    png_bomb,
    wait_for,
)  # fmt: skip

pytest_plugins = ["tests.sandbox_fixtures"]

QUERIES = [op for op in OPERATIONS.values() if op.kind == "status"]
AT_ONCE = [op for op in OPERATIONS.runnable if not op.query]
LATER = [op for op in OPERATIONS.runnable if op.query]
TOOLS = [op for op in LATER if op.tool_code]
SAMPLES = {"integer": 1, "number": 1, "object": {}, "strings": ["a"], "boolean": True}
TOOL = f"{PREFIX}/tool"
SERVER_ID = re.compile(r"pro\d{22}")


def sample(param: Any) -> Any:
    if param.choices:
        return param.choices[0]
    if param.picture:
        url = "http://127.0.0.1:9/none.png"
        return [url] * (param.min_items or 1) if param.type == "images" else url
    number = param.minimum if param.minimum is not None else 1
    return number if param.type in ("integer", "number") else SAMPLES.get(param.type, "a fox")


def full_body(op: Operation, key: str) -> dict[str, Any]:
    """A body with the fields that the operation cannot do without."""
    values = {p.name: sample(p) for p in op.user_params if p.expected}
    return op.body(values, key)


def submitted(api: Api, name: str = "describe", **more: Any) -> tuple[str, dict[str, Any]]:
    """Submit an upload; return the caller's id and the acknowledgement."""
    key, op = new_key(), OPERATIONS[name]
    image = api.picture(noisy_jpeg((64, 48)))
    answer = api.call(name, {**op.body({"image": image}, key), **more})
    assert answer["code"] == "200", answer
    return key, answer


# Every path


@pytest.mark.parametrize("op", LATER, ids=lambda op: op.name)
def test_an_asynchronous_operation_is_acknowledged_in_its_familys_shape(api: Api, op: Operation):
    key = new_key(op.name)
    answer = api.call(op.name, full_body(op, key))
    assert (answer["code"], answer["msg"]) == ("200", "success")
    data = answer["data"]
    if op.family == "sd" or op.name in ("style", "outpaint", "control-preview"):
        assert list(data) == ["task_id"]
    else:
        assert data == {"taskId": data["taskId"], "businessTaskId": key, "status": 1}
    assert SERVER_ID.fullmatch(data.get("task_id") or data["taskId"])


@pytest.mark.parametrize("op", [o for o in LATER if o.name != "train"], ids=lambda op: op.name)
def test_every_task_ends_and_one_without_its_picture_says_so(api: Api, op: Operation):
    """With status 0 and a text where an image or an engine is missing, else with a result."""
    key = new_key(op.name)
    api.call(op.name, full_body(op, key))
    answer = api.ended(op.name, key)
    assert answer["code"] == "200"
    if any(p.picture and p.expected for p in op.params):
        assert answer["data"]["status"] == 0
        text = answer["data"]["desc"] if op.family == "sd" else answer["data"]["errorMessage"]
        assert "no engine for" in text or "cannot be reached" in text
    else:
        assert answer["data"]["status"] in (0, 2)


@pytest.mark.parametrize("op", AT_ONCE, ids=lambda op: op.name)
def test_what_has_no_query_answers_at_once(api: Api, op: Operation):
    """Lists with rows; the query of a training job, here of one that does not exist, with 404."""
    answer = api.call(op.name, full_body(op, ""))
    assert answer["code"] == ("200" if op.kind == "rows" else "404")
    assert op.kind != "rows" or answer["data"]["rows"]


@pytest.mark.parametrize("op", TOOLS, ids=lambda op: op.tool_code)
def test_every_tool_code_has_its_query_path_slashes_included(api: Api, op: Operation):
    answer = api.post(f"{TOOL}/{op.tool_code}/queryTask", {"businessTaskId": "never-seen"})
    assert answer == {"code": "404", "msg": "there is no task 'never-seen'", "data": None}


def test_an_escaped_slash_in_a_tool_code_is_another_path(api: Api):
    answer = api.post(f"{TOOL}/hair%2Fchange/queryTask", {"businessTaskId": "x"})
    assert answer["code"] == "404"
    assert "tool/hair/change/queryTask" in answer["msg"]


@pytest.mark.parametrize("op", OPERATIONS.values(), ids=lambda op: op.name)
def test_get_is_answered_by_405_in_the_envelope(api: Api, op: Operation):
    path = op.path.replace("{tool_code}", "interrogate")
    answer = api.http.get(api.url + path, timeout=10)
    assert (answer.status_code, answer.json()["code"]) == (200, "405")


def test_an_unknown_path_is_404_with_the_nearest_ones(api: Api):
    answer = api.post(f"{TOOL}/interogate", {})
    assert answer["code"] == "404"
    assert "did you mean tool/interrogate" in answer["msg"]
    assert api.http.get(f"{api.url}/favicon.ico", timeout=5).status_code == 404


# Bodies


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "must be a JSON object"),
        (b"[]", "must be a JSON object"),
        (b"{", "not JSON"),
        (b"\xff\xfe{}", "not JSON"),
        (b'{"businessTaskId": NaN}', "not JSON: NaN is not a JSON number"),
        (b"[" * 100_000, "not JSON"),
        (b'{"a": ' + b"1" * 5000 + b"}", "not JSON"),
    ],
)
def test_a_body_that_is_no_json_object_is_400(api: Api, body: bytes, said: str):
    answer = api.post(OPERATIONS["describe"].path, data=body)
    assert (answer["code"], answer["data"]) == ("400", None)
    assert said in answer["msg"]


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("describe", {"image": None}, "field image is required"),
        ("describe", {"businessTaskId": None}, "field businessTaskId is required"),
        ("describe", {"businessTaskId": " "}, "field businessTaskId is required"),
        ("describe", {"model": "blip"}, "model must be clip or deepdanbooru, not 'blip'"),
        ("describe", {"imgae": "x"}, "unknown field imgae; did you mean image?"),
        ("describe", {"image": 5}, "field image must be the URL of an image"),
        ("describe", {"image": {"a": 1}}, "field image must be the URL of an image"),
        ("describe", {"image": ""}, "image is empty"),
        ("describe", {"callbackUrl": "ftp://x"}, "callbackUrl must be an http(s) URL"),
        ("outpaint", {"verticalExpansionRatio": 9}, "verticalExpansionRatio must be from 1 to 4"),
        ("outpaint", {"imageCount": "two"}, "imageCount must be a whole number"),
        ("face-fusion", {"sourceUrl": ["http://a"] * 3}, "sourceUrl takes 1 to 2 images, not 3"),
        ("face-fusion", {"sourceUrl": [1]}, "field sourceUrl must be the URL"),
        ("train", {"fileUrlList": ["http://a"]}, "fileUrlList takes 10 to 100 images"),
        ("image2image", {"alwayson_scripts": {}}, "alwayson_scripts.image_link is required"),
        ("models", {"pageSize": None}, "field pageSize is required"),
        ("query-v2", {"businessTaskId": None}, "field businessTaskId is required"),
    ],
)
def test_a_body_that_does_not_fit_is_400_in_the_vendors_names(
    api: Api, name: str, change: dict[str, Any], said: str
):
    body = {**full_body(OPERATIONS[name], new_key()), **change}
    answer = api.call(name, body)
    assert answer["code"] == "400"
    assert said in answer["msg"]
    assert len(answer["msg"]) <= 300


def test_a_body_over_1_mb_is_413_and_the_client_hears_it(api: Api):
    answer = api.post(OPERATIONS["describe"].path, data=b" " * 5_000_000)
    assert answer["code"] == "413"
    assert answer["msg"] == "the body is too large: the limit is 1 MB"


def test_half_a_surrogate_pair_in_an_id_is_taken_as_any_other_text(api: Api):
    key = "\ud83d" + new_key()
    api.call("describe", {"image": "http://127.0.0.1:9/", "businessTaskId": key})
    assert api.ended("describe", key)["data"]["businessTaskId"] == key


# Tasks


def test_a_description_is_status_1_then_2_with_the_sandboxs_extras(api: Api):
    key, answer = submitted(api)
    assert answer["data"]["status"] == 1
    data = api.ended("describe", key)["data"]
    assert data["status"] == 2
    assert isinstance(data["caption"], str)
    assert (data["businessTaskId"], data["taskId"]) == (key, answer["data"]["taskId"])
    assert (data["backend"], data["fidelity"]) == ("sandbox", "approximate")
    assert data["engine"]
    assert data["seconds"] > 0


def test_a_query_takes_the_servers_id_as_well(api: Api):
    key, answer = submitted(api)
    api.ended("describe", key)
    assert api.query("describe", answer["data"]["taskId"])["data"]["businessTaskId"] == key


def test_the_same_submission_again_is_the_same_task(api: Api):
    key = new_key()
    body = {"image": api.picture(picture_bytes()), "businessTaskId": key}
    first, second = api.call("describe", body), api.call("describe", body)
    api.ended("describe", key)
    assert first == second == api.call("describe", body)


@pytest.mark.parametrize("change", [{"model": "deepdanbooru"}, {"image": "http://127.0.0.1:9/b"}])
def test_another_submission_under_the_same_id_is_refused(api: Api, change: dict[str, str]):
    body = {"image": "http://127.0.0.1:9/a", "businessTaskId": new_key()}
    api.call("describe", body)
    answer = api.call("describe", {**body, **change})
    assert answer["code"] == "400"
    assert "was already used by an earlier task (with other values)" in answer["msg"]


def test_another_tool_under_the_same_id_is_refused_and_not_found(api: Api):
    key, _ = submitted(api)
    answer = api.call("style", {"sourceImage": "http://127.0.0.1:9/", "businessTaskId": key})
    assert (answer["code"], "(describe)" in answer["msg"]) == ("400", True)
    asked = api.query("style", key)
    assert (asked["code"], "tool/interrogate/queryTask" in asked["msg"]) == ("404", True)


def test_an_operation_whose_id_is_optional_gets_one(api: Api):
    data = api.call("enlarge", {"sourceImage": "http://127.0.0.1:9/"})["data"]
    assert data["businessTaskId"] == data["taskId"]
    assert api.ended("enlarge", data["taskId"])["data"]["status"] == 0


def test_queries_are_quick_while_an_engine_computes(api: Api):
    """Tasks wait for the one engine; no query takes longer than half a second."""
    keys = [submitted(api)[0] for _ in range(6)]
    slowest = 0.0
    for _ in range(20):
        begin = time.monotonic()
        api.query("describe", keys[-1])
        slowest = max(slowest, time.monotonic() - begin)
    assert slowest < 0.5
    assert all(api.ended("describe", key)["data"]["status"] == 2 for key in keys)


# The sd family


def sd_task(api: Api) -> tuple[str, str]:
    key = new_key("sd")
    body = {"prompt": "a fox", "alwayson_scripts": {"id_task": key}}
    server_id = api.call("text2image", body)["data"]["task_id"]
    api.ended("text2image", key)
    return key, server_id


def test_v2_answers_in_its_shape_and_echoes_the_id_that_was_asked(api: Api):
    key, server_id = sd_task(api)
    for asked in (key, server_id):
        data = api.query("text2image", asked)["data"]
        assert data["id_task"] == asked
        assert {"status", "desc", "temporaryImageDto", "differentialImageRspList"} <= set(data)
        assert data["temporaryImageDto"] is None


def test_v1_answers_for_ended_tasks_in_its_shape(api: Api):
    key, server_id = sd_task(api)
    data = api.call("query-v1", {"businessTaskId": key})["data"]
    assert data["task_id"] == server_id
    assert {"status", "desc", "differentialImageRspList"} <= set(data)
    assert not {"id_task", "temporaryImageDto"} & set(data)


def test_v1_does_not_know_a_running_task_and_v2_not_one_of_an_earlier_month(tmp_path: Path):
    with SandboxProcess.start(tmp_path, delay=60) as slow:
        api = Api(slow)
        body = {"prompt": "a fox", "alwayson_scripts": {"id_task": "x"}}
        api.call("text2image", body)
        assert api.query("text2image", "x")["data"]["status"] in (1, 3)
        assert api.query("text2image", "x")["data"]["differentialImageRspList"] == []
        assert api.call("query-v1", {"businessTaskId": "x"})["code"] == "404"
        (path,) = (tmp_path / "sandbox/tasks").glob("*.json")
        wait_for(lambda: json.loads(path.read_text())["state"] in ("succeeded", "failed"), 60)
        record = json.loads(path.read_text())
        path.write_text(json.dumps({**record, "accepted": time.time() - 32 * 24 * 3600}))
        old = api.query("text2image", "x")
        assert (old["code"], "/sd/queryTaskInfo" in old["msg"]) == ("404", True)
        assert api.call("query-v1", {"businessTaskId": "x"})["data"]["status"] in (0, 2)


@pytest.mark.parametrize("name", ["query-v1", "query-v2"])
def test_sd_queries_do_not_know_tool_tasks_nor_unknown_ones(api: Api, name: str):
    key, _ = submitted(api)
    assert api.call(name, {"businessTaskId": key})["code"] == "404"
    assert api.call(name, {"businessTaskId": "nobody"})["code"] == "404"


# Keys, hosts, origins


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A sandbox that asks for keys: its URL."""
    home = tmp_path_factory.mktemp("locked")
    env = {**os.environ, "CANARY": "secret-5d1"}
    options = ("--key-id", "id-1", "--key-secret-env", "CANARY")
    with command(home, *options, env=env) as (_, api):
        yield api.url


@pytest.mark.parametrize(
    ("key_id", "secret", "code"),
    [
        ("id-1", "secret-5d1", "404"),
        ("id-1", "wrong", "401"),
        ("wrong", "secret-5d1", "401"),
        ("id-1", "", "401"),
        ("", "secret-5d1", "401"),
        ("id-1", "s\u00e9cret", "401"),
    ],
)
def test_keys_are_checked_where_some_are_set(locked: str, key_id: str, secret: str, code: str):
    headers = {
        "X-Request-req-accessKeyId": key_id,
        "X-Request-req-accessKeySecret": secret.encode("latin-1").decode("latin-1"),
    }
    answer = Api(locked, headers).query("describe", "x")
    assert answer["code"] == code
    assert "secret-5d1" not in json.dumps(answer)
    upload = Api(locked, headers).upload(picture_bytes())
    assert upload["code"] == ("200" if code == "404" else "401")


def test_missing_keys_are_401_and_name_both_headers(locked: str):
    answer = Api(locked).query("describe", "x")
    assert answer["code"] == "401"
    assert "X-Request-req-accessKeyId and X-Request-req-accessKeySecret" in answer["msg"]


@pytest.mark.parametrize("path", ["/", "/health", "/openapi.json", "/files/x", "/upload", TOOL])
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example:80"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "null"},
    ],
)
def test_foreign_hosts_and_origins_are_refused(api: Api, path: str, headers: dict[str, str]):
    for method in ("GET", "POST"):
        answer = requests.request(method, api.url + path, headers=headers, data=b"{}", timeout=5)
        assert answer.status_code == 403
        assert answer.json()["code"] == "403"


def test_localhost_is_a_name_of_the_sandbox(api: Api):
    assert requests.get(api.url.replace("127.0.0.1", "localhost") + "/health", timeout=5).ok


def test_no_answer_lets_another_origin_read_it(api: Api):
    for path in ("/", "/openapi.json", "/health"):
        headers = api.http.get(api.url + path, timeout=5).headers
        assert not [name for name in headers if name.lower().startswith("access-control")]
        assert headers["X-Content-Type-Options"] == "nosniff"


# Files


@pytest.mark.parametrize(
    ("kind", "media"),
    [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("GIF", "image/gif"), ("WEBP", "image/webp"),
     ("BMP", "image/bmp"), ("TIFF", "image/tiff")],
)  # fmt: skip
def test_an_upload_is_served_again_with_its_type(api: Api, kind: str, media: str):
    data = picture_bytes(kind)
    url = api.picture(data)
    assert api.picture(data) == url
    answer = requests.get(url, timeout=5)
    assert answer.content == data
    assert answer.headers["Content-Type"] == media
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_an_upload_named_mpo_by_pillow_is_still_a_jpeg(api: Api):
    """Phones write several images into one JPEG."""
    import io

    from PIL import Image

    buffer = io.BytesIO()
    image = Image.new("RGB", (20, 20), "red")
    image.save(buffer, "MPO", save_all=True, append_images=[image])
    assert api.picture(buffer.getvalue()).endswith(".jpg")


@pytest.mark.parametrize(
    ("data", "code", "said"),
    [
        (b"", "400", "empty"),
        (b"<html>", "400", "web page"),
        (b"<svg/>", "400", "not an image"),
        (png_bomb(9000), "400", "too many pixels"),
        (b"\x89PNG" * 13_000_000, "413", "the limit is 50 MB"),
    ],
)
def test_an_upload_that_is_no_fit_picture_is_refused(api: Api, data: bytes, code: str, said: str):
    answer = api.upload(data)
    assert (answer["code"], answer["data"]) == (code, None)
    assert said in answer["msg"]


@pytest.mark.parametrize(
    "name",
    ["../tasks/x.json", "..%2fsandbox.log", "%2e%2e/sandbox.log", "/etc/passwd", "a.png", "",
     "0" * 64 + ".html", "0" * 64 + ".png", "0" * 64 + ".png%00", "0" * 64 + ".png/../x"],
)  # fmt: skip
def test_only_plain_names_of_files_that_exist_are_served(api: Api, name: str):
    prepared = requests.Request("GET", f"{api.url}/").prepare()
    prepared.url = f"{api.url}/files/{name}"
    answer = requests.Session().send(prepared, timeout=5)
    assert (answer.status_code, answer.json()["code"]) == (404, "404")


# Bad images

BAD = {
    "http://127.0.0.1:9/x.png": "image: 127.0.0.1 cannot be reached: connection refused",
    "file:///etc/hostname": "image: an image needs an http or https URL, not file",
    "GALLERY/page.html": "image: this is not an image but a web page",
    "GALLERY/text": "image: this is not an image that can be read",
    "GALLERY/empty": "image: the file is empty (0 bytes)",
    "GALLERY/truncated.jpg": "image: the image is truncated",
    "GALLERY/bomb.png": "image: the image has too many pixels: the limits are 64 megapixels",
    "GALLERY/large": "image: the file is too large: the limit is 50 MB",
    "GALLERY/endless": "image: the file is too large: the limit is 50 MB",
    "GALLERY/to/file": "image: 127.0.0.1 redirects to an address that is not allowed",
    "GALLERY/to/self": "at most 3 times",
    "GALLERY/broken-off": "image: the connection was lost after 500 of 1000 bytes",
    "GALLERY/missing": "image: 127.0.0.1 answered 404 Not Found",
    "GALLERY/drip": "image: timed out: 127.0.0.1 did not send the file within 20 s",
    "GALLERY/slow-header": "image: timed out: 127.0.0.1 did not send the file within 20 s",
}


@pytest.fixture(scope="module", autouse=True)
def bad_tasks(api: Api, gallery: str) -> dict[str, str]:
    """All bad images, submitted at the start as some take 20 s: {URL: id of its task}."""
    keys = {url: new_key("bad") for url in reversed(BAD)}
    for url, key in keys.items():
        image = url.replace("GALLERY", gallery)
        assert api.call("describe", {"image": image, "businessTaskId": key})["code"] == "200"
    return keys


@pytest.mark.parametrize("url", BAD)
def test_a_bad_picture_ends_in_status_0_with_a_clear_text(
    api: Api, bad_tasks: dict[str, str], url: str
):
    answer = api.ended("describe", bad_tasks[url])
    assert answer["code"] == "200"
    assert answer["data"]["status"] == 0
    assert BAD[url] in answer["data"]["errorMessage"]
    assert answer["msg"] == answer["data"]["errorMessage"]


def test_slow_pictures_do_not_keep_others_waiting(api: Api, gallery: str):
    for _ in range(4):
        body = {"image": f"{gallery}/drip", "businessTaskId": new_key("slow")}
        api.call("describe", body)
    begin = time.monotonic()
    key = new_key()
    api.call("describe", {"image": f"{gallery}/with space.png", "businessTaskId": key})
    assert api.ended("describe", key)["data"]["status"] == 2
    assert time.monotonic() - begin < 10


def test_memory_stays_bounded_after_all_this(api: Api, sandbox: SandboxProcess):
    """Also with the largest image that is taken, in RGBA and turned."""
    big = Path("/proc/self/status")
    if not big.exists():
        pytest.skip("needs /proc")
    key = new_key()
    api.call("describe", {"image": api.picture(largest_picture()), "businessTaskId": key})
    assert api.ended("describe", key)["data"]["status"] == 2
    lines = Path(f"/proc/{sandbox.pid}/status").read_text().splitlines()
    sizes = {line.split()[0]: int(line.split()[1]) for line in lines if line.startswith("Vm")}
    assert sizes["VmRSS:"] < 1.2e6, sizes
    assert sizes["VmHWM:"] < 1.6e6, sizes


def largest_picture() -> bytes:
    import io

    from PIL import Image

    exif, buffer = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6
    Image.new("RGBA", (8000, 8000), (1, 2, 3, 128)).save(buffer, "PNG", exif=exif, compress_level=1)
    return buffer.getvalue()


# What it tells of itself


def test_openapi_describes_every_path(api: Api):
    answer = api.http.get(f"{api.url}/openapi.json", timeout=5)
    assert answer.headers["Content-Type"] == "application/json"
    described = answer.json()
    assert described["openapi"] == "3.1.0"
    assert {op.path for op in OPERATIONS.values()} <= set(described["paths"])
    assert {f"{op.path}/queryTask" for op in TOOLS} <= set(described["paths"])
    calls = [path["post"] for path in described["paths"].values()]
    assert len({call["operationId"] for call in calls}) == len(calls)
    assert all(call["x-known"] in ("documented", "client", "assumed") for call in calls)


def test_openapi_has_types_choices_ranges_and_nesting_of_the_fields(api: Api):
    paths = api.http.get(f"{api.url}/openapi.json", timeout=5).json()["paths"]

    def schema(name: str) -> Any:
        call = paths[OPERATIONS[name].path]["post"]
        return call["requestBody"]["content"]["application/json"]["schema"]

    describe = schema("describe")
    assert describe["required"] == ["image", "businessTaskId"]
    assert describe["properties"]["model"]["enum"] == ["clip", "deepdanbooru"]
    assert describe["properties"]["model"]["default"] == "clip"
    steps = schema("outpaint")["properties"]["sampleStep"]
    assert (steps["type"], steps["minimum"], steps["maximum"]) == ("integer", 0, 50)
    inside = schema("image2image")["properties"]["alwayson_scripts"]
    assert inside["properties"]["image_link"]["x-known"] == "documented"
    assert "id_task" in inside["required"]
    deeper = schema("text2image")["properties"]["alwayson_scripts"]["properties"]
    assert "CLIP_stop_at_last_layers" in deeper["override_settings"]["properties"]


def test_the_page_lists_every_operation_and_says_that_nothing_leaves_the_machine(api: Api):
    answer = api.http.get(f"{api.url}/", timeout=10)
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "Nothing leaves this machine" in answer.text
    assert all(f"<strong>{name}</strong>" in answer.text for name in OPERATIONS)
    assert "temporaryImageDto" in answer.text


def test_an_operation_without_engine_is_not_there_yet_on_the_page(monkeypatch: pytest.MonkeyPatch):
    engines = EngineLoader()
    monkeypatch.setattr(engines, "engine", lambda name: None)
    rows = table(engines)
    assert {row["fidelity"] for row in rows} == {"real", "not there yet"}
    assert "not there yet" in page(rows, "u")


def test_the_page_as_json_has_engine_fidelity_path_and_its_mark(api: Api):
    headers = {"Accept": "application/json"}
    rows = api.http.get(f"{api.url}/", headers=headers, timeout=10).json()["operations"]
    by_name = {row["name"]: row for row in rows}
    assert list(by_name) == list(OPERATIONS)
    assert by_name["describe"]["fidelity"] == "approximate"
    assert by_name["remove-background"]["known"] == "assumed"


# The line


def test_an_item_that_takes_too_long_is_given_up_and_the_line_goes_on():
    stuck, late, done = threading.Event(), [], []

    def work(item: str) -> None:
        if item == "stuck":
            stuck.wait()
        done.append(item)

    line = WorkQueue(work, lambda item, seconds: late.append(item), lambda: 0.2)
    for item in ("a", "stuck", "b", "c"):
        line.put(item)
    wait_for(lambda: done == ["a", "b", "c"])
    assert late == ["stuck"]
    stuck.set()
    wait_for(lambda: len(done) == 4)
    line.put("d")
    wait_for(lambda: done[-1] == "d")
    time.sleep(0.1)
    assert done.count("d") == 1


def test_an_item_that_raises_does_not_end_the_line():
    done: list[int] = []

    def work(item: int) -> None:
        done.append(1 // item)

    line = WorkQueue(work, lambda item, seconds: done.append(item), lambda: 5)
    line.put(0)
    line.put(1)
    wait_for(lambda: done == [1])


def test_a_full_house_answers_429(idle_jobs: Jobs, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(jobs_module, "MOST_OPEN", 2)
    flux = OPERATIONS["flux"]
    for key in ("a", "b"):
        idle_jobs.submit(flux, key, {"prompt": "x"})
    with pytest.raises(WireError) as caught:
        idle_jobs.submit(flux, "c", {"prompt": "x"})
    assert caught.value.code == "429"
    assert idle_jobs.submit(flux, "a", {"prompt": "x"}).key == "a"


# Results that are files


NAME = "a" * 64 + ".png"
OLD_URL, NEW_URL = f"http://127.0.0.1:9999/files/{NAME}", f"http://127.0.0.1:7/files/{NAME}"


def ended_job(operation: str, **result: Any) -> Job:
    return Job("k", "pro1", operation, {}, 0.0, "succeeded", result, engine="e", fidelity="real")


def test_urls_of_results_are_told_with_the_port_of_this_process(idle_jobs: Jobs):
    job = ended_job("outpaint", outputImageUrl=OLD_URL, more=[{"url": OLD_URL}, "text"])
    assert responses.tool_answer(job, idle_jobs)["data"] == {
        "outputImageUrl": NEW_URL,
        "more": [{"url": NEW_URL}, "text"],
        "businessTaskId": "k",
        "taskId": "pro1",
        "status": 2,
        "backend": "sandbox",
        "engine": "e",
        "fidelity": "real",
        "seconds": 0.0,
    }


def test_sd_images_have_every_documented_member(idle_jobs: Jobs):
    job = ended_job("text2image", differentialImageRspList=[{"image_url": OLD_URL, "seed": 5}])
    image = {
        "img_audit": [{"confidence": None, "label": "nonLabel"}],
        "img_audit_status": True,
        "image_status": 1,
        "image_url": NEW_URL,
        "seed": 5,
    }
    live = responses.live_answer(job, idle_jobs, "k")["data"]
    archived = responses.archived_answer(job, idle_jobs)["data"]
    assert live["differentialImageRspList"] == archived["differentialImageRspList"] == [image]
    assert (live["status"], live["id_task"]) == (2, "k")
    assert (archived["status"], archived["task_id"]) == (2, "pro1")


def test_an_engine_saves_pictures_and_reads_several_in_their_order(tmp_path: Path, idle_jobs: Jobs):
    files = FileStore(tmp_path)
    names = [files.add(picture_bytes(size=(10 + i, 10)), "png") for i in range(2)]
    urls = [f"http://localhost:1/files/{name}" for name in names]
    work = JobWork(
        OPERATIONS["face-fusion"], {"faces": urls, "image": urls[0]}, files, "http://x", idle_jobs
    )
    assert work.remote == {}
    assert [image.width for image in work.pictures("faces")] == [10, 11]
    url = work.save(work.picture("image"), "jpg")
    assert files.find(url.removeprefix("http://x/files/")) is not None


def test_an_engine_gets_documented_defaults_and_presets(idle_jobs: Jobs):
    describe = JobWork(OPERATIONS["describe"], {"image": "u"}, idle_jobs.files, "", idle_jobs)
    assert describe.params == {"image": "u", "model": "clip"}
    upscale = JobWork(OPERATIONS["upscale"], {"image": "u"}, idle_jobs.files, "", idle_jobs)
    assert upscale.params == {"image": "u", "scale": 2}


def test_a_model_of_the_user_s_own_is_given_an_hour(
    idle_jobs: Jobs, monkeypatch: pytest.MonkeyPatch
):
    """It may have to be fetched from the hub first, and is slow without a GPU."""
    assert idle_jobs._time_limit() == jobs_module.LIMIT_SECONDS
    monkeypatch.setenv("IMGOPEN_DIFFUSERS", "someone/some-model")
    assert idle_jobs._time_limit() == jobs_module.OWN_MODEL_SECONDS == 3600
