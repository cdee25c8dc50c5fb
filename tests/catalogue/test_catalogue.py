"""The catalogue says what the wire contract says, field by field."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from imgopen_nb.catalogue.operation import Operation
from imgopen_nb.catalogue.operations import OPERATIONS
from imgopen_nb.catalogue.parameter import Param
from imgopen_nb.errors import ParameterError, UnknownNameError

CONTRACT = yaml.safe_load((Path(__file__).parents[1] / "data/img_open.yaml").read_text("utf-8"))
BY_ID = {op["id"]: op for op in CONTRACT["operations"]}
KNOWN = {"seen": "documented", "client": "client", "inferred": "assumed", "none": "assumed"}
QUERIES = {
    "query_task_info_v2": "query-v2",
    "query_image_tool_task": "query-tool",
    "training_result": "training-result",
    None: "",
}
WIRE_TYPES = {
    "text": "string", "url": "string", "image": "string", "images": "array[string]",
    "strings": "array[string]",
}  # fmt: skip


def fields_of(entry: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(f.get("in", ""), f["name"]): f for f in entry["request"].get("fields", [])}


def containers(entry: dict[str, Any]) -> set[tuple[str, str]]:
    dotted = {f["in"] for f in entry["request"].get("fields", []) if "in" in f}
    return {tuple(["", *d.rpartition(".")[::2]][-2:]) for d in dotted}  # type: ignore[misc]


def mark_of(required: Any) -> str:
    if isinstance(required, bool):
        return "required" if required else "optional"
    return "conflict" if str(required).startswith("conflict") else "unmarked"


def same_number(ours: Any, theirs: Any) -> bool:
    if theirs is None or ours is None:
        return ours is theirs
    return Decimal(str(ours)) == Decimal(str(theirs))


FIELDS = [
    pytest.param(op, field, id=f"{op.name}-{field['name']}")
    for op in OPERATIONS.values()
    for key, field in fields_of(BY_ID[op.id]).items()
    if not (key in containers(BY_ID[op.id]) and key[1] == "alwayson_scripts")
]


def param_for(op: Operation, field: dict[str, Any]) -> Param:
    inside = field.get("in", "")
    found = [p for p in op.params if p.wire == field["name"] and p.inside == inside]
    assert len(found) == 1, f"{op.name} has {len(found)} rows for {inside}.{field['name']}"
    return found[0]


def test_every_operation_of_the_contract_has_one_row():
    assert sorted(BY_ID) == sorted(op.id for op in OPERATIONS.values())
    assert len(OPERATIONS) == 30
    assert len(OPERATIONS.runnable) == 27


@pytest.mark.parametrize("op", OPERATIONS.values(), ids=lambda op: op.name)
def test_operation_matches_the_contract(op: Operation):
    """Title, category, path, its confidence, query, result confidence and open questions agree."""
    entry = BY_ID[op.id]
    result = entry.get("result") or {}

    assert (op.title, op.category) == (entry["names"]["en"], entry["category"])
    assert op.known == KNOWN[entry["confidence"]["path"]]
    if entry["path"] is not None:
        assert op.path == entry["path"].replace("{toolCode}", "{tool_code}")
        if op.kind != "status":
            assert op.tool_code == (entry["tool_code"] or "")
    assert op.unknown == tuple(entry["unknown"])
    assert op.source == (entry["sources"] or [""])[0]
    if op.kind != "status":
        assert op.query == QUERIES[result.get("query_operation")] or op.query == "query-tool"
        confidence = result.get("confidence", "none").replace("partly ", "")
        assert op.result_known == KNOWN[confidence]


@pytest.mark.parametrize(("op", "field"), FIELDS)
def test_field_matches_the_contract(op: Operation, field: dict[str, Any]):
    """Wire name, nesting, type, mark, default, choices, range, counts and confidence agree."""
    param = param_for(op, field)

    wire_type = param.wire_type or WIRE_TYPES.get(param.type, param.type)
    assert wire_type == field["type"]
    assert param.mark == mark_of(field.get("required"))
    if isinstance(param.default, float):
        assert same_number(param.default, field["default"])
    else:
        assert param.default == field.get("default")
    assert list(param.choices) == list(field.get("enum", []))
    if not isinstance(field.get("max"), str) or field["max"].replace(".", "").isdigit():
        assert same_number(param.maximum, field.get("max"))
    assert same_number(param.minimum, field.get("min"))
    assert (param.min_items, param.max_items) == (field.get("min_items"), field.get("max_items"))
    assert param.known == KNOWN[field["confidence"]]
    assert param.inside_known == KNOWN[field.get("nesting", "seen")]
    assert param.task_id == (
        field["name"] in ("businessTaskId", "id_task")
        or (op.name, field["name"]) == ("train", "taskId")
    )


@pytest.mark.parametrize("op", OPERATIONS.values(), ids=lambda op: op.name)
def test_what_the_contract_does_not_have_is_marked_assumed(op: Operation):
    documented = set(fields_of(BY_ID[op.id]))
    invented = [p for p in op.params if (p.inside, p.wire) not in documented]

    assert all(p.known == "assumed" for p in invented)


@pytest.mark.parametrize("op", OPERATIONS.values(), ids=lambda op: op.name)
def test_names_are_clean_and_unique(op: Operation):
    names = [p.name for p in op.params]

    assert len(names) == len(set(names))
    assert all(n == n.lower() and n.replace("_", "").isalnum() for n in names)
    assert op.name == op.name.lower()
    assert "_" not in op.name


def test_vendor_oddities_are_kept():
    """Ids nest, numbers travel as strings, and hr_resize_x is the height."""
    body = OPERATIONS["text2image"].body(
        OPERATIONS["text2image"].check(
            {"prompt": "a fox", "seed": -1, "hires_height": 900, "clip_skip": 2, "settings": "{}"}
        ),
        "T1",
    )
    assert body["alwayson_scripts"] == {
        "id_task": "T1",
        "override_settings": {"CLIP_stop_at_last_layers": 2},
    }
    assert (body["seed"], body["hr_resize_x"]) == ("-1", 900)

    swap = OPERATIONS["face-swap-v2"]
    body = swap.body(
        swap.check({"face": "http://a/f", "image": "http://a/i", "fidelity": 0.5}), "T2"
    )
    assert body == {
        "sourceUrl": "http://a/f", "targetUrl": "http://a/i", "fidelityWeight": "0.5",
        "businessTaskId": "T2",
    }  # fmt: skip

    fusion = OPERATIONS["face-fusion"]
    assert fusion.body(fusion.check({"faces": "http://a/f", "image": "http://a/i"}), "T3")[
        "sourceUrl"
    ] == ["http://a/f"]


# The training example leaves out the required taskId and has no images.
EXAMPLES = [
    op
    for op in OPERATIONS.runnable
    if "request" in BY_ID[op.id].get("examples", {}) and op.name != "train"
]


@pytest.mark.parametrize("op", EXAMPLES, ids=lambda op: op.name)
def test_vendor_example_requests_are_read_back(op: Operation):
    """A complete example request of the documentation passes our own check and keeps its values."""
    _, values = op.read(BY_ID[op.id]["examples"]["request"])

    assert op.read(op.body(values, "T"))[1] == values


@pytest.mark.parametrize(
    ("name", "given", "part"),
    [
        ("describe", {}, "needs an image"),
        ("describe", {"image": "http://a/b", "model": "clp"}, "clip or deepdanbooru"),
        ("describe", {"image": " "}, "image is empty"),
        ("outpaint", {"image": "http://a", "vertical": 9, "horizontal": 1}, "from 1 to 4"),
        ("outpaint", {"image": "http://a", "vertical": "nan", "horizontal": 1}, "a number"),
        ("flux", {"prompt": "a", "width": 1.5}, "a whole number"),
        ("flux", {"prompt": "a", "width": True}, "a whole number"),
        ("train", {"images": ["http://a"]}, "10 to 100 images"),
        ("flux", {"prompt": "a", "callback_url": "ftp://x"}, "an http(s) URL"),
        ("controlnet", {"prompt": "a", "control": "[1]", "resize_mode": 0}, "a JSON object"),
    ],
)
def test_bad_values_are_refused_before_anything_is_sent(name: str, given: Any, part: str):
    with pytest.raises(ParameterError) as caught:
        OPERATIONS[name].check(given)

    assert part in str(caught.value)


def test_unknown_names_get_the_near_match():
    with pytest.raises(UnknownNameError, match="did you mean describe"):
        OPERATIONS["descripe"]
    with pytest.raises(UnknownNameError, match="did you mean model"):
        OPERATIONS["describe"].check({"image": "http://a", "modle": "clip"})


class TestGroupsOfAForm:
    @pytest.mark.parametrize("row", OPERATIONS.runnable, ids=lambda row: row.name)
    def test_what_is_required_is_never_among_the_advanced(self, row: Operation):
        hidden = [p.name for p in row.user_params if p.required and p.group == "Advanced"]

        assert hidden == []

    @pytest.mark.parametrize("row", OPERATIONS.runnable, ids=lambda row: row.name)
    def test_pictures_are_in_the_group_of_pictures_and_no_heading_is_used_twice(
        self, row: Operation
    ):
        headings = [p.heading for p in row.user_params]

        assert all((p.group == "Image") is p.picture for p in row.user_params)
        assert len(set(headings)) == len(headings)
