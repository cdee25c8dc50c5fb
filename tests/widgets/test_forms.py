"""Forms from Python's side: what they hold, what they refuse, and how they run."""

from __future__ import annotations

import io
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import pytest
from ipywidgets.widgets.widget import _instances
from PIL import Image

from imgopen_nb.catalogue.operations import OPERATIONS
from imgopen_nb.commands.registry import find
from imgopen_nb.errors import ParameterError, UnknownNameError, UsageError
from imgopen_nb.session import Session
from imgopen_nb.widgets.forms.fields import (
    BooleanField,
    ChoiceField,
    MenuField,
    NumberField,
    SeedField,
    TextField,
)
from imgopen_nb.widgets.forms.form import Form, form
from imgopen_nb.widgets.forms.picture_fields import MaskField, PictureField, PicturesField
from imgopen_nb.widgets.forms.studio import studio

from ..conftest import KEY_ID, KEY_SECRET
from ..sandbox_fixtures import picture_bytes
from ..stub import Stub, ok, refusal
from ..test_session import URL


def wait_for(condition: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to be in time"
        time.sleep(0.02)


def order(opened: Form, kind: str, text: str = "") -> None:
    """Send what the browser sends."""
    opened.widget._handle_custom_msg({"kind": kind, "text": text}, [])


def note(opened: Form, name: str) -> str:
    """Return what stands beside a field as its error."""
    return opened.fields[name].error


class TestFields:
    @pytest.mark.parametrize("name", [row.name for row in OPERATIONS.runnable])
    def test_each_operation_has_a_form_with_a_field_for_each_parameter(self, name: str):
        opened = form(name)
        required = {p.name for p in opened.operation.user_params if p.required}
        required |= set(opened.operation.one_of[:1])

        assert list(opened.fields) == [p.name for p in opened.operation.user_params]
        assert set(opened.problems) == required
        assert opened.run_button.disabled == bool(required)
        assert opened.values == {}

    @pytest.mark.parametrize(
        ("operation", "name", "kind", "control"),
        [
            ("describe", "image", PictureField, widgets.Text),
            ("describe", "model", ChoiceField, widgets.ToggleButtons),
            ("watermark", "position", ChoiceField, widgets.Dropdown),
            ("watermark", "opacity", NumberField, widgets.Text),
            ("train", "epochs", NumberField, widgets.Text),
            ("text2image", "sampler", MenuField, widgets.Combobox),
            ("text2image", "model", MenuField, widgets.Combobox),
            ("train", "images", PicturesField, widgets.Textarea),
            ("text2image", "seed", SeedField, widgets.Text),
            ("text2image", "width", NumberField, widgets.Text),
            ("text2image", "hires", BooleanField, widgets.ToggleButtons),
        ],
    )
    def test_the_row_decides_the_control(
        self, operation: str, name: str, kind: type, control: type
    ):
        field = form(operation).fields[name]

        assert type(field) is kind
        assert type(field.control) is control
        assert field.control.tooltip == OPERATIONS[operation].param(name).help

    def test_what_is_required_comes_first_and_never_in_a_group_that_starts_closed(self):
        for row in OPERATIONS.runnable:
            for group in form(row.name).widget.about["groups"]:
                required = [field["required"] for field in group["fields"]]
                assert required == sorted(required, reverse=True)
                assert group["open"] or not any(required)

    def test_a_default_is_seen_and_a_change_is_marked_until_it_is_reset(self):
        opened = form("text2image", prompt="a fox", batch_size=4)
        (size,) = (group for group in opened.widget.about["groups"] if group["name"] == "Size")
        about = {field["name"]: field for field in size["fields"]}

        assert (about["batch_size"]["default"], about["width"]["default"]) == ("1", "")
        assert opened.fields["width"].control.placeholder == "default"
        assert opened.widget.states["batch_size"]["changed"]
        assert opened.widget.summaries["Size"] == "batch size 4"
        order(opened, "reset", "batch_size")
        assert opened.fields["batch_size"].control.value == "1"
        assert not opened.widget.states["batch_size"]["changed"]
        order(opened, "reset")
        assert opened.values == {}

    def test_run_says_why_it_cannot_run_yet(self):
        opened = form("text2image", width="wide")

        assert [name for name, _, _ in opened.widget.why] == ["prompt", "width"]
        opened.values = {"prompt": "a fox", "width": 64}
        assert opened.widget.why == []

    def test_of_two_parameters_that_exclude_each_other_exactly_one_is_asked_for(self):
        opened = form("watermark", image="sample:coffee")
        assert opened.problems == {"text": "text or watermark is needed"}
        opened.values = {"watermark": "sample:rocket"}
        assert opened.problems == {}
        opened.values = {"text": "mine"}
        assert opened.problems == {"text": "only one of text or watermark may be given"}

    def test_an_order_to_run_brings_what_has_been_typed(self, local: Session):
        """The last letters may reach the kernel after the keys that start the run."""
        opened = form("enlarge", local, image="sample:coffee")
        order(opened, "run", json.dumps({"scale": "3", "nothing": "x", "image": 7}))
        opened.wait()

        assert opened.result is not None
        assert opened.result.params["scale"] == 3

    @pytest.mark.parametrize("message", ["run", 7, {"kind": 3}, {"kind": "run", "text": 5}, {}])
    def test_orders_of_another_shape_are_ignored(self, message: Any):
        opened = form("text2image", prompt="x")
        opened.widget._handle_custom_msg(message, [])

        assert not opened.running

    def test_a_sample_that_does_not_exist_is_an_error_at_once(self):
        opened = form("describe")
        opened.fields["image"].control.value = "sample:nope"

        assert "no sample image called 'nope'" in note(opened, "image")
        assert opened.run_button.disabled

    def test_a_missing_value_is_no_error_before_the_first_try(self):
        opened = form("describe")
        before = note(opened, "image")
        opened.run()

        assert before == ""
        assert "image is needed" in note(opened, "image")

    def test_an_error_stands_beside_its_field_and_goes_when_it_is_mended(self):
        opened = form("text2image", prompt="a fox", width="wide")

        assert "width must be a whole number" in note(opened, "width")
        assert opened.run_button.disabled
        opened.fields["width"].control.value = "512"
        assert note(opened, "width") == ""
        assert not opened.run_button.disabled
        assert opened.values == {"prompt": "a fox", "width": 512}

    def test_the_dice_throws_a_seed(self):
        opened = form("text2image", prompt="x")
        opened.fields["seed"].dice.click()  # type: ignore[attr-defined]
        first = opened.values["seed"]
        opened.fields["seed"].dice.click()  # type: ignore[attr-defined]

        assert isinstance(first, int)
        assert opened.values["seed"] != first

    def test_unknown_names_are_explained(self):
        with pytest.raises(UnknownNameError, match="describe"):
            form("descrbe")
        with pytest.raises(UnknownNameError, match="model"):
            form("describe", modle="clip")
        with pytest.raises(ParameterError, match="clip or deepdanbooru"):
            form("describe", model="blip")


class TestPictures:
    @pytest.fixture
    def opened(self, local: Session) -> Form:
        return form("describe", local)

    def zone(self, opened: Form) -> Any:
        return opened.fields["image"]._zone  # type: ignore[attr-defined]

    def test_a_picture_is_shown_with_its_size(self, opened: Form):
        opened.values = {"image": "sample:chelsea"}
        wait_for(lambda: self.zone(opened).preview)

        assert self.zone(opened).text == "451 × 300 pixels"
        assert self.zone(opened).preview[:2] == b"\xff\xd8"
        assert len(self.zone(opened).preview) < 8_000

    def test_what_cannot_be_read_says_why(self, opened: Form):
        opened.values = {"image": "/nowhere/cat.png"}
        wait_for(lambda: "there is no file" in note(opened, "image"))

        assert self.zone(opened).preview == b""
        assert opened.run_button.disabled
        assert [name for name, *_ in opened.widget.why] == ["image"]

    def test_a_file_that_is_there_by_now_can_be_run(self, opened: Form, tmp_path: Path):
        path = tmp_path / "late.png"
        opened.values = {"image": str(path)}
        wait_for(lambda: opened.run_button.disabled)
        path.write_bytes(picture_bytes(size=(50, 40)))

        assert opened.problems == {}

    @pytest.mark.parametrize(
        ("given", "meant"), [("chelsae.png", "sample:chelsea"), ("cat3.png", "cat.png")]
    )
    def test_a_misspelt_file_is_told_what_may_be_meant(
        self, opened: Form, tmp_path: Path, given: str, meant: str
    ):
        (tmp_path / "cat.png").write_bytes(picture_bytes(size=(50, 40)))
        opened.values = {"image": str(tmp_path / given)}

        wait_for(lambda: f"did you mean {meant}?" in note(opened, "image"))

    def test_an_address_that_cannot_be_checked_does_not_stop_a_run(self, opened: Form):
        opened.values = {"image": "http://127.0.0.1:9/cat.png"}
        wait_for(lambda: note(opened, "image"))

        assert opened.problems == {}
        assert not opened.run_button.disabled

    def test_each_of_several_images_is_checked(self, local: Session):
        opened = form("train", local, images=["sample:coffee"] * 9 + ["/nowhere/cat.png"])

        wait_for(lambda: "there is no file /nowhere/cat.png" in note(opened, "images"))
        assert opened.fields["images"]._zone.label == "Images: Drop or paste images"  # type: ignore[attr-defined]

    def test_a_dropped_file_is_kept_and_named_by_its_path(self, opened: Form, local: Session):
        data = picture_bytes(size=(50, 40))
        self.zone(opened)._handle_custom_msg({"kind": "file", "name": "../../my cat.png"}, [data])
        path = opened.values["image"]

        assert path.startswith(str(local.settings.home / "uploads" / "my-cat-"))
        with open(path, "rb") as file:
            assert file.read() == data

    @pytest.mark.parametrize(
        ("message", "buffers"),
        [
            ({"kind": "file", "name": "x.png"}, []),
            ({"kind": "file"}, [b"1", b"2"]),
            ("file", [b"1"]),
            ({"kind": {"a": 1}}, [b"1"]),
            ({}, []),
        ],
    )
    def test_odd_messages_change_nothing(self, opened: Form, message: Any, buffers: list[bytes]):
        self.zone(opened)._handle_custom_msg(message, buffers)

        assert opened.values == {}

    def test_a_dropped_file_that_is_no_picture_is_refused_beside_the_field(self, opened: Form):
        self.zone(opened)._handle_custom_msg({"kind": "file", "name": "x.png"}, [b"hello"])

        assert "x.png is not an image" in note(opened, "image")
        assert opened.values == {}

    def test_a_sample_and_an_earlier_result_can_be_chosen(self, local: Session):
        local.run("enlarge", image="sample:coffee", scale=2)
        field = form("describe", local).fields["image"]
        assert isinstance(field, PictureField)
        field._samples.value = "sample:rocket"
        assert field.value == "sample:rocket"
        (title, url) = field._results.options[1]
        field._results.value = url

        assert title.startswith("enlarge")
        assert field.value == url
        assert field._results.value == "Results"  # ready for the next choice

    def test_pictures_that_live_in_the_kernel_become_files(self, local: Session):
        opened = form("describe", local, image=Image.new("RGB", (30, 20)))

        with Image.open(opened.values["image"]) as found:
            assert found.size == (30, 20)


class TestRunning:
    def test_a_run_ends_in_a_card_a_result_and_a_row_of_the_history(self, local: Session):
        opened = form("describe", local, image="sample:chelsea")
        opened.run()
        assert opened.running
        assert (opened.run_button.disabled, opened.cancel_button.disabled) == (True, False)
        opened.wait()

        assert opened.result is not None
        assert "cat" in (opened.result.caption or "")
        assert "cat" in opened._card.value
        assert opened.widget.progress == {}
        assert (opened.run_button.disabled, opened.cancel_button.disabled) == (False, True)
        assert local.history().index.name in ("task_id", None)
        assert opened.result.task_id in str(local.history().reset_index())

    def test_a_failure_is_told_in_the_form_and_the_next_run_works(
        self, session: Session, stub: Stub
    ):
        stub.replies(refusal("400", "no such image <b>"), ok(status=2, caption="a cat"))
        opened = form("describe", session, image=URL)
        opened.run()
        opened.wait()

        assert opened.result is None
        assert "no such image &lt;b&gt;" in opened.static_html()
        told = opened.widget.outcome["error"]
        assert (told["again"], tuple(told["lead"])) == (True, ("image", "Choose another image"))
        assert opened.error is not None
        opened.run()
        opened.wait()
        assert opened.result is not None
        assert opened.error is None

    def test_what_the_history_has_is_shown_at_once_and_asked_again_by_a_button(
        self, stub: Stub, monkeypatch: pytest.MonkeyPatch
    ):
        """The second run sends nothing; "Ask again" is offered then, and sends it."""
        monkeypatch.setenv("IMGOPEN_CACHE", "on")
        stub.replies(ok(status=2, caption="a cat"))
        with Session(stub.url, KEY_ID, KEY_SECRET) as session:
            opened = form("describe", session, image=URL)
            for requests, offered in ((1, "none"), (1, None)):
                opened.run()
                opened.wait()
                assert len(stub.submissions()) == requests
                assert opened.again_button.layout.display == offered
            assert "cached" in opened._card.value

            opened.again_button.click()
            opened.wait()

            assert len(stub.submissions()) == 2
            assert opened.again_button.layout.display == "none"

    def test_cancel_stops_waiting_at_once_and_says_that_the_task_goes_on(
        self, session: Session, stub: Stub
    ):
        stub.answer = lambda request: ok(status=1)
        opened = form("describe", session, image=URL)
        opened.run()
        wait_for(lambda: len(stub.requests) >= 2)
        opened.cancel()
        opened.wait(5)

        assert not opened.running
        assert "stopped waiting for" in opened.static_html()
        assert "%imgopen wait nb" in opened.static_html()
        told = opened.widget.outcome["error"]
        assert told["message"] == "Stopped waiting. The task continues at the service."
        assert told["hint"].startswith("To get its result later: %imgopen wait nb")
        assert told["calm"]

    def test_an_error_begins_with_its_reason_and_names_the_task_apart(
        self, session: Session, stub: Stub
    ):
        stub.replies(ok(status=0, errorMessage="too dark"))
        opened = form("describe", session, image=URL)
        opened.run()
        opened.wait(20)
        told = opened.widget.outcome["error"]

        assert told["message"] == "too dark"
        assert told["task"].startswith("describe nb")

    def test_several_forms_run_at_once_each_with_its_own_result(self, local: Session):
        names = ["chelsea", "coffee", "rocket"]
        opened = [form("enlarge", local, image=f"sample:{name}") for name in names]
        for each in opened:
            each.run()
        for each in opened:
            each.wait()

        assert [each.result and each.result.image for each in opened] == [
            f"sample:{name}" for name in names
        ]

    def test_no_trait_of_any_widget_ever_holds_a_key(self, session: Session, stub: Stub):
        stub.replies(ok(status=2, caption=f"you sent {KEY_SECRET} and {KEY_ID}"))
        opened = form("describe", session, image=URL)
        opened.run()
        opened.wait()
        states = [each.get_state() for each in list(_instances.values())]
        state = json.dumps(states, default=str) + opened.static_html()

        assert opened.result is not None
        assert "you sent" in state
        assert KEY_SECRET not in state
        assert KEY_ID not in state


class TestNextSteps:
    """What can be done with a result; each is an order from the browser, done in a thread."""

    @pytest.fixture
    def opened(self, local: Session) -> Form:
        opened = form("enlarge", local, image="sample:coffee", scale=2)
        opened.run()
        opened.wait()
        return opened

    def test_the_result_is_shown_large(self, opened: Form):
        with Image.open(io.BytesIO(opened.widget.main)) as shown:
            assert max(shown.size) == 1024
        assert opened.widget.outcome["facts"].startswith("1024 × 682")
        assert opened.widget.outcome["can"] == ["save", "use", "compare"]

    def test_save_writes_it_and_says_where(
        self, opened: Form, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.chdir(tmp_path)
        order(opened, "save")
        wait_for(lambda: opened.widget.outcome.get("said"))

        assert len(list((tmp_path / "pictures").glob("coffee-enlarge-*"))) == 2
        said = opened.widget.outcome["said"]
        assert re.fullmatch(r"Saved coffee-enlarge-\w+\.png and its \.json in pictures/", said)

    def test_a_folder_that_cannot_be_written_is_told_and_the_result_stays(
        self, opened: Form, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "pictures").write_text("a file")
        order(opened, "save")
        wait_for(lambda: opened.widget.outcome.get("error"))

        assert "pictures" in opened.widget.outcome["error"]["message"]
        assert opened.widget.main

    def test_the_same_operation_takes_it_as_its_picture(self, opened: Form):
        assert opened.result is not None
        made = str(opened.result.images[0])
        order(opened, "use", "enlarge")
        wait_for(lambda: opened.values["image"] == made)

    def test_another_operation_opens_below_with_it(self, opened: Form):
        order(opened, "use", "describe")
        wait_for(lambda: opened._next.children)

        assert opened._next.children[0].about["name"] == "describe"

    def test_the_slider_comes_and_goes(self, opened: Form):
        order(opened, "compare")
        wait_for(lambda: opened._outcome.place.children)
        order(opened, "compare")
        wait_for(lambda: not opened._outcome.place.children)

    def test_an_earlier_run_fills_the_form_and_is_shown(self, opened: Form):
        order(opened, "ready")
        wait_for(lambda: opened.widget.film)
        opened.values = {"image": "sample:rocket", "scale": 3}
        opened.run()
        opened.wait()
        (first, title), (second, _) = reversed(opened.widget.film)
        assert title == "sample:coffee"
        order(opened, "earlier", first)
        wait_for(lambda: opened.widget.outcome["task"] == first)

        assert opened.values == {"image": "sample:coffee"}  # 2 is the default
        assert second != first


def test_the_lists_of_the_service_fill_the_menus_and_a_lora_is_called_in_the_prompt(local: Session):
    opened = form("text2image", local, prompt="a fox")
    for name in ("model", "vae", "prompt"):
        order(opened, "list", name)
    prompt = opened.fields["prompt"]
    assert isinstance(prompt, TextField)
    wait_for(
        lambda: opened.fields["model"].control.options and opened.fields["vae"].control.options
    )
    wait_for(lambda: len(prompt._loras.options) > 1)
    prompt._loras.value = "sandbox_lora"

    assert "sandbox-photo.safetensors" in opened.fields["model"].control.options
    assert opened.values == {"prompt": "a fox <lora:sandbox_lora:1>"}


def test_a_list_that_cannot_be_had_is_told_only_if_somebody_asked_for_it(
    session: Session, stub: Stub
):
    stub.answer = lambda request: refusal("500", "no list today")
    opened = form("text2image", session, prompt="a fox")
    order(opened, "list", "model")
    wait_for(lambda: stub.requests)
    assert "error" not in opened.widget.outcome
    order(opened, "refresh", "model")
    wait_for(lambda: opened.widget.outcome.get("error"))

    assert "no list today" in opened.widget.outcome["error"]["message"]


def test_the_painter_opens_by_itself_where_a_mask_is_required(local: Session):
    opened = form("erase", local, image="sample:rocket")
    mask = opened.fields["mask"]
    assert isinstance(mask, MaskField)
    wait_for(lambda: mask._canvas.children)
    painter = mask._painter
    assert painter is not None
    assert opened.fields["image"]._zone.compact  # type: ignore[attr-defined]

    painter.mask = Image.new("L", painter.size, 255)
    assert opened.problems == {}
    order(opened, "reset", "mask")
    assert painter.share == 0
    assert set(opened.problems) == {"mask"}


def test_runs_are_told_apart_by_what_differs_in_them(local: Session):
    for values in ({"scale": 3}, {"scale": 4}, {}):
        local.run("enlarge", image="sample:coffee", **values)
    opened = form("enlarge", local)
    order(opened, "ready")
    wait_for(lambda: opened.widget.film)

    assert sorted(title for _, title in opened.widget.film) == [
        "sample:coffee", "scale 3 · sample:coffee", "scale 4 · sample:coffee",
    ]  # fmt: skip


def test_a_group_says_which_of_its_fields_must_be_filled_in(local: Session):
    opened = form("face-swap", local)
    assert opened.widget.summaries["Image"] == "needed: image to change, face to use"
    opened.values = {"image": "sample:astronaut", "face": "sample:astronaut"}

    assert not opened.widget.summaries["Image"].startswith("needed")
    assert opened.widget.summaries.get("Advanced", "defaults") == "defaults"


def test_a_result_has_its_caption_once_and_its_details_beside_it(local: Session):
    opened = form("describe", local, image="sample:coffee")
    opened.run()
    opened.wait()
    shown = opened._card.value

    assert shown.count("espresso") == 1
    assert "%imgopen" not in shown
    assert "<details" not in shown
    assert "espresso" in opened.widget.outcome["caption"]
    assert [name for name, _ in opened.widget.outcome["details"]][-1] == "Task"


class TestStudioAndCommands:
    def test_the_studio_gives_the_chosen_image_to_a_form_that_has_none(self, local: Session):
        opened = studio("describe", local)
        opened.form.values = {"image": "sample:coffee"}
        opened.choose("text2image")  # which takes none
        assert opened.choose("upscale").values == {"image": "sample:coffee"}
        opened.form.values = {"image": "sample:rocket"}
        opened.choose("describe")

        assert opened.form.values == {"image": "sample:coffee"}

    def test_the_studio_gives_a_result_to_another_operation(self, local: Session):
        opened = studio("enlarge", local)
        opened.form.on_use("erase", "sample:rocket")

        assert opened.choice.value == "erase"
        assert opened.form.values == {"image": "sample:rocket"}

    def test_the_studio_keeps_each_form_while_another_is_in_front(self, local: Session):
        opened = studio(session=local)
        opened.form.values = {"image": "sample:coffee"}
        opened.choose("erase")
        assert opened.form.operation.name == "erase"
        opened.choose("describe")

        assert opened.form.values == {"image": "sample:coffee"}
        shown = [name for _, rows in opened.choice.groups for name, _ in rows]
        assert sorted(shown) == sorted(row.name for row in OPERATIONS.runnable)
        assert ("erase", "Erase") in dict(opened.choice.groups)["Edit"]

    def test_a_name_that_is_no_operation_is_refused_by_the_menu(self, local: Session):
        opened = studio("erase", local)
        with pytest.raises(UnknownNameError):
            opened.choice.value = "nope"
        assert opened.form.operation.name == "erase"

    @pytest.mark.parametrize("line", ["form describe", "studio", "describe sample:x --form"])
    def test_without_a_notebook_a_form_is_refused_with_the_reason(self, line: str, local: Session):
        from imgopen_nb.commands.command import Invocation

        name, *words = line.split()
        command = find(name)
        with pytest.raises(UsageError, match="needs a notebook"):
            command.run(Invocation(command.parser().read(words), None, lambda: local, "imgopen "))


def test_the_stand_in_holds_the_line_and_the_last_result_and_is_small(local: Session):
    opened = form("describe", local, image="sample:chelsea")
    before = opened.static_html()
    opened.run()
    opened.wait()
    after = opened.static_html()

    assert "%imgopen describe sample:chelsea" in before
    assert "data:image/jpeg;base64," in after
    assert len(after) < 20_000
    assert repr(opened) == opened.line


def test_buffers_of_uploads_do_not_stay_in_the_widget(local: Session):
    data = io.BytesIO()
    Image.effect_noise((600, 600), 80).save(data, "PNG")
    field = form("describe", local).fields["image"]
    field._zone._handle_custom_msg({"kind": "file", "name": "big.png"}, [data.getvalue()])  # type: ignore[attr-defined]
    wait_for(lambda: field._zone.preview)  # type: ignore[attr-defined]

    assert len(json.dumps(field._zone.get_state(), default=repr)) < 60_000  # type: ignore[attr-defined]
