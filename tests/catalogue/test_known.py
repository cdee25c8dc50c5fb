"""What is only assumed about the real service is never sent to it by accident."""

from __future__ import annotations

import json

import pytest

from imgopen_nb.catalogue.operations import OPERATIONS
from imgopen_nb.errors import AssumedFieldError, AssumedPathError, SettingsError, UnknownNameError
from imgopen_nb.session import Session

from ..conftest import KEY_ID, KEY_SECRET
from ..stub import TOOL, Stub, ok

URL = "https://example.org/cat.png"
ASSUMED = [op.name for op in OPERATIONS.runnable if op.known == "assumed"]


@pytest.mark.parametrize("name", ASSUMED)
def test_an_operation_with_a_guessed_path_is_refused_and_nothing_sent(
    session: Session, stub: Stub, name: str
):
    row = OPERATIONS[name]
    needed = [p for p in row.user_params if p.required or p.name in row.one_of[:1]]
    given = {p.name: URL if p.picture else "x" for p in needed}

    with pytest.raises(AssumedPathError, match=f"IMGOPEN_PATHS={name}="):
        session.submit(name, **given)
    assert stub.requests == []


def test_a_guessed_field_of_a_documented_operation_is_refused(session: Session, stub: Stub):
    with pytest.raises(AssumedFieldError) as caught:
        session.submit("hairstyle", image=URL, hair="red")

    assert "image, hair of hairstyle" in str(caught.value)
    assert "Hairstyle changer" in str(caught.value)
    assert "IMGOPEN_FIELDS" in str(caught.value)
    assert stub.requests == []


def test_the_true_names_can_be_set(stub: Stub, monkeypatch: pytest.MonkeyPatch):
    names = {"hairstyle": {"image": "portrait", "hair": "cut"}}
    monkeypatch.setenv("IMGOPEN_FIELDS", json.dumps(names))
    stub.replies(ok(status=2, outputImageUrl=URL))

    with Session(stub.url, KEY_ID, KEY_SECRET) as session:
        result = session.run("hairstyle", image=URL, hair="red")

    assert stub.requests[0].path == TOOL + "hair/change"
    assert stub.requests[0].body == {
        "portrait": URL, "cut": "red", "businessTaskId": result.task_id,
    }  # fmt: skip


def test_a_true_path_alone_is_not_enough_for_guessed_fields(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("IMGOPEN_PATHS", f"upscale={TOOL}sr")
    with Session(stub.url, KEY_ID, KEY_SECRET) as session, pytest.raises(AssumedFieldError):
        session.submit("upscale", image=URL)

    monkeypatch.setenv("IMGOPEN_FIELDS", '{"upscale": {"image": "imageUrl"}}')
    stub.replies(ok(status=2, outputImageUrl=URL))
    with Session(stub.url, KEY_ID, KEY_SECRET) as session:
        session.run("upscale", image=URL)

    (request,) = stub.requests
    assert set(request.body) == {"imageUrl", "businessTaskId"}  # our preset scale is a guess too


def test_fields_seen_in_a_client_only_pass_with_a_note(session: Session, stub: Stub):
    stub.replies(ok(status=2, differentialImageRspList=[{"image_url": URL}]))

    result = session.run("text2image", prompt="a fox", sampler="Euler a", guidance=7)

    assert result.notes == (
        "guidance, sampler: not documented by the vendor, only seen in a working client",
    )


@pytest.mark.parametrize(
    ("value", "part"),
    [("{", "not valid JSON"), ("[1]", "must look like"), ('{"hairstyle": 3}', "must look like")],
)
def test_unusable_names_are_told(monkeypatch: pytest.MonkeyPatch, value: str, part: str):
    monkeypatch.setenv("IMGOPEN_FIELDS", value)
    with pytest.raises(SettingsError, match=part):
        Session()


def test_names_of_unknown_parameters_are_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("IMGOPEN_FIELDS", '{"hairstyle": {"hiar": "x"}}')
    with pytest.raises(UnknownNameError, match="did you mean hair"):
        Session()
