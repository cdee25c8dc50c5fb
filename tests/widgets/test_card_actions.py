"""The buttons of cards from Python: what a message may ask for, and when there are buttons."""

from __future__ import annotations

from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from imgopen_nb.display.rendering import RUN, render
from imgopen_nb.magics import magic
from imgopen_nb.session import Session
from imgopen_nb.tasks.cards import result_bundle
from imgopen_nb.widgets import card_actions
from imgopen_nb.widgets.card_actions import CardActions


@pytest.fixture
def actions(monkeypatch: pytest.MonkeyPatch, local: Session) -> CardActions:
    """One that keeps what it sends."""
    made = CardActions()
    made.sent = []
    monkeypatch.setattr(made, "send", made.sent.append)
    return made


def ask(actions: CardActions, **message: Any) -> list[Any]:
    actions._handle_custom_msg(message, [])
    sent: list[Any] = actions.sent
    return sent


def test_an_image_is_given_to_a_form(actions: CardActions):
    (sent,) = ask(actions, kind="use", operation="upscale", image="sample:coffee", place="1")

    assert (sent["kind"], sent["place"]) == ("form", "1")
    assert sent["model"]
    assert "upscale" in dict(actions.uses)


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"kind": "other"},
        {"kind": "use", "operation": "text2image", "image": "sample:coffee"},
        {"kind": "use", "operation": ["upscale"], "image": "sample:coffee"},
        {"kind": "use", "operation": "nonsense", "image": "sample:coffee"},
        {"kind": "use", "operation": "upscale", "image": {"a": 1}},
    ],
)
def test_a_message_of_another_shape_is_ignored(actions: CardActions, message: dict[str, Any]):
    assert ask(actions, **message) == []


def test_a_card_says_whose_it_is_and_which_image_it_gives_on(local: Session):
    described = local.run("describe", image="sample:coffee")
    made = local.run("upscale", image="sample:coffee")

    assert f'data-run="{RUN}" data-image="sample:coffee"' in result_bundle(described)["text/html"]
    assert f'data-image="{made.images[0]}"' in result_bundle(made)["text/html"]


@pytest.mark.parametrize(("attended", "begun"), [(True, 1), (False, 0)])
def test_a_notebook_that_a_program_runs_gets_no_widget(
    monkeypatch: pytest.MonkeyPatch, attended: bool, begun: int
):
    """It would be saved in the notebook, for nobody."""

    class Kernel:
        _allow_stdin = attended

    shell = InteractiveShell()
    shell.kernel = Kernel()
    begins: list[int] = []
    monkeypatch.setattr(magic, "get_ipython", lambda: shell)
    monkeypatch.setattr(card_actions, "begin", lambda: begins.append(1))
    magic.load(shell)
    render("progress.html", text="x", share=None)
    shell.run_cell("1")
    magic.unload(shell)
    shell.run_cell("1")

    assert len(begins) == begun
