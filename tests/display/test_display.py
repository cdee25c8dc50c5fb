from __future__ import annotations

import functools
import io
import json
import os
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from typing import Any, ClassVar

import nbformat
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from imgopen_nb.captions.comparison import compare
from imgopen_nb.captions.comparison_card import comparison_bundle, report
from imgopen_nb.display.record import MAX_BYTES, MIME, record
from imgopen_nb.display.rendering import css_of, environment, is_link, is_local, rules
from imgopen_nb.display.tables import display_width, text_table
from imgopen_nb.errors import JournalError
from imgopen_nb.history.table import HistoryView, history_bundle
from imgopen_nb.images.picture import Thumbnail, samples, thumbnail
from imgopen_nb.tasks.cards import result_bundle, task_bundle
from imgopen_nb.tasks.result import Result as RealResult
from imgopen_nb.text import shown, visible

from ..conftest import often

KINDS = ["caption", "style", "images", "boxes", "prompts", "rows", "training"]
HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "</div></style><style>body{display:none}</style>",
    "\"><svg onload=alert(1)>' onmouseover='alert(1)",
    "javascript:alert(1)",
    "http://example.org/evil.html",
    "/etc/passwd",
    "{{ 7 * 7 }}{% raw %}${7*7}",
    "&lt;b&gt; &#60;script&#62;",
    "\x1b[2J\x1b]0;title\x07",
    "\u202egpj.exe\u2066",
    "\ud800 lone",
    "]]><!-- -->",
]


@dataclass
class Tag:
    name: str
    score: float | None = None


@dataclass
class Result:
    """What a result offers to the display, and nothing else."""

    task_id: str = "nb20260131a1b2c3d4e5f60718"
    server_id: str = "81"
    operation: str = "describe"
    kind: str = "caption"
    model: str | None = "clip"
    image: str | None = "cat.png"
    caption: str | None = None
    tags: list[Tag] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    prompts: list[str] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    faces: list[dict[str, Any]] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    backend: str = "real"
    engine: str | None = None
    fidelity: str | None = None
    seconds: float | None = 3.24
    queries: int = 4
    attempts: int = 1
    status: str = "succeeded"
    error: str | None = None
    notes: tuple[str, ...] = ()
    photo: Callable[[int], Thumbnail | None] = lambda size: None

    def thumbnail(self, size: int) -> Thumbnail | None:
        return self.photo(size)

    def output_thumbnail(self, i: int, size: int) -> Thumbnail | None:
        return self.photo(size)


@dataclass
class Operation:
    name: str = "describe"


@dataclass
class Task:
    """What a task offers to the display."""

    state: str = "running"
    message: str = ""
    id: str = "nb1"
    operation: Operation = field(default_factory=Operation)
    status: int | None = 1
    seconds: float | None = 12.0
    params: dict[str, Any] = field(default_factory=lambda: {"model": "clip"})
    result_or_none: Result | None = None


@functools.cache
def photograph(size: int) -> Thumbnail:
    image = Image.radial_gradient("L").resize((640, 480)).convert("RGB")
    out = io.BytesIO()
    image.save(out, "JPEG")
    return thumbnail(out.getvalue(), size)


class Page(HTMLParser):
    """The tags, the attributes and the text of a page, as a browser would read them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.styles: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("img", "br", "meta", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, "the tags are not nested"

    def handle_data(self, data: str) -> None:
        (self.styles if self.open[-1:] == ["style"] else self.texts).append(data)

    @property
    def text(self) -> str:
        return "".join(self.texts)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


TAGS = {
    "div", "style", "img", "span", "bdi", "b", "i", "br", "small", "a", "ol", "li", "code", "table",
    "thead", "tbody", "tr", "th", "td", "article", "figure", "figcaption", "details", "summary",
    "dl", "dt", "dd", "input",
}  # fmt: skip
ATTRIBUTES = {
    "class", "dir", "src", "alt", "width", "height", "href", "target", "rel", "style",
    "type", "aria-label", "data-lm-suppress-shortcuts", "data-run", "data-image", "tabindex",
}  # fmt: skip


def check(html: str, more: frozenset[str] = frozenset()) -> Page:
    """Read a fragment and hold it to the rules: known tags, our images, safe links."""
    page = Page(html)
    assert not page.open
    for tag, attributes in page.tags:
        assert tag in TAGS | more
        assert set(attributes) <= ATTRIBUTES or tag in more
        assert not any(name.startswith("on") for name in attributes)
        assert re.fullmatch(
            r"(\w+:[\d.]+%;?|--\w+:\d+;?|display:none)*", attributes.get("style") or ""
        )
    for image in page.all("img"):
        assert (image["src"] or "").startswith("data:image/jpeg;base64,")
        assert image["alt"] is not None
    for link in page.all("a"):
        assert (link["href"] or "").startswith(("http://", "https://"))
        assert link["rel"] == "noopener noreferrer"
    return page


def sample(kind: str, text: str) -> Result:
    """A result of each kind with `text` wherever the service can put one."""
    return Result(
        kind=kind,
        caption=text if kind == "caption" else None,
        tags=[Tag(text, 0.5), Tag(text)] if kind in ("caption", "style") else [],
        images=[text, "https://example.org/1.png"] if kind == "images" else [],
        prompts=[text] if kind == "prompts" else [],
        rows=[{text: text, "n": 1}] if kind == "rows" else [],
        faces=[{"box": [text], "score": text}, {text: text}] if kind == "boxes" else [],
        data={"field": text, text: [text]},
        params={"prompt": text, text: text},
        notes=(text,),
        engine=text,
        fidelity=text,
        model=text,
        image=text,
        operation=text,
        backend="sandbox",
        photo=photograph,
    )


class TestSafety:
    @pytest.mark.parametrize("text", HOSTILE)
    @pytest.mark.parametrize("kind", KINDS)
    def test_whatever_the_service_says_is_shown_as_text(self, kind: str, text: str) -> None:
        bundle = result_bundle(sample(kind, text))

        page = check(bundle["text/html"])
        if kind in ("caption", "prompts", "rows"):
            assert visible(text) in page.text
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", page.text)
        assert "\x1b" not in bundle["text/plain"]
        json.dumps(bundle, allow_nan=False).encode("utf-8")

    @pytest.mark.parametrize("text", HOSTILE)
    def test_the_same_for_failures_tasks_history_and_comparisons(self, text: str) -> None:
        bad = replace(sample("caption", text), status="failed", error=text)
        task = Task("failed", message=text, id=text, params={"model": text})
        row = {"task_id": text, "operation": text, "model": text, "image": text, "status": text}
        told = compare(
            [replace(sample("caption", text), operation="describe"), Result(caption=text)]
        )

        for html in (
            result_bundle(bad)["text/html"],
            task_bundle(task)["text/html"],
            history_bundle([{**row, "error": text}, {**row, "caption": text}])["text/html"],
            comparison_bundle(told)["text/html"],
        ):
            assert visible(text)[:20] in check(html).text

    @given(st.text(max_size=200))
    @example("<script>")
    @settings(deadline=None, max_examples=often(60, 2000))
    def test_a_caption_comes_out_of_the_page_as_it_went_in(self, caption: str) -> None:
        result = Result(caption=caption, photo=photograph)

        page = check(result_bundle(result)["text/html"])

        assert visible(caption) in page.text
        assert not caption or page.all("img")[0]["alt"] == visible(caption)

    @pytest.mark.parametrize(
        "label",
        [
            "javascript:alert(1)", "data:text/html,x", "//example.org", "https://", "file:///etc",
            "https://user:key@example.org/", "https://a b.org/", "https://example.org/\u202e",
            "cat.png", "https://example.org/" + "x" * 3000, 'https://e.org/"onclick="x', "http://[::1",
        ],
    )  # fmt: skip
    def test_only_plain_web_addresses_become_links(self, label: str) -> None:
        assert not is_link(label)
        assert not check(result_bundle(Result(image=label))["text/html"]).all("a")

    def test_web_addresses_become_links(self) -> None:
        (link,) = check(result_bundle(Result(image="https://e.org/a.png?b=1&c"))["text/html"]).all(
            "a"
        )

        assert link["href"] == "https://e.org/a.png?b=1&c"

    def test_bytes_that_are_no_jpeg_never_reach_the_page(self) -> None:
        svg = Thumbnail(b"<svg onload=alert(1)>", 10, 10, (10, 10))

        bundle = result_bundle(Result(caption="a cat", photo=lambda size: svg))

        assert not check(bundle["text/html"]).all("img")

    def test_right_to_left_text_cannot_reorder_its_surroundings(self) -> None:
        html = result_bundle(Result(caption="گربه", tags=[Tag("سگ")]))["text/html"]

        assert '<div class="io-caption" dir="auto">گربه</div>' in html
        assert "<bdi>سگ</bdi>" in html

    def test_joiners_of_persian_and_emoji_stay(self) -> None:
        text = "گربه‌ای 👩‍🚀"

        assert visible(text) == text


class TestCard:
    def test_a_caption_card_has_picture_caption_tags_and_provenance(self) -> None:
        result = Result(
            caption="a cat on a mat",
            tags=[Tag("cat", 0.98), Tag("mat")],
            attempts=2,
            backend="sandbox",
            engine="local-caption",
            fidelity="approximate",
            photo=photograph,
        )

        page = check(result_bundle(result)["text/html"])

        (image,) = page.all("img")
        assert (image["alt"], image["width"], image["height"]) == ("a cat on a mat", "256", "192")
        for text in (
            "a cat on a mat", "cat", "0.98", "3.2 s", "4 queries", "2 attempts", "sandbox",
            "approximate", "local-caption", "nb20260131a1b2c3d4e5f60718",
        ):  # fmt: skip
            assert text in page.text

    def test_one_attempt_is_not_mentioned_and_the_real_service_has_no_badge(self) -> None:
        page = check(result_bundle(Result(caption="a cat"))["text/html"])

        assert "attempt" not in page.text
        assert "sandbox" not in page.text

    def test_a_caption_that_only_repeats_the_tags_is_shown_once(self) -> None:
        result = Result(caption="cat, mat", tags=[Tag("cat", 0.9), Tag("mat", 0.8)])

        bundle = result_bundle(result)

        assert "cat, mat" not in check(bundle["text/html"]).text
        assert "cat 0.90, mat 0.80" in bundle["text/plain"]

    def test_a_long_caption_is_cut_and_says_how_much_is_left(self) -> None:
        bundle = result_bundle(Result(caption="x" * 101_000, photo=photograph))

        assert "… 99,000 more characters" in check(bundle["text/html"]).text
        assert "… 99,000 more characters" in bundle["text/plain"]
        assert len(json.dumps(bundle)) < 100_000

    def test_images_are_shown_in_a_grid_with_links(self) -> None:
        urls = [f"https://example.org/{i}.png" for i in range(3)]
        result = Result(
            operation="text2image", kind="images", images=urls, image=None,
            params={"prompt": "a red fox"}, photo=photograph,
        )  # fmt: skip

        page = check(result_bundle(result)["text/html"])

        assert [link["href"] for link in page.all("a")] == urls
        assert page.all("img")[1]["alt"] == "image 2 of 3: a red fox"

    def test_addresses_of_this_machine_are_no_links(self) -> None:
        """The sandbox's images: in a saved notebook their addresses lead nowhere."""
        urls = ["http://127.0.0.1:9/1.png", "http://localhost/2.png"]
        result = Result(kind="images", images=urls, image=None, photo=photograph)

        page = check(result_bundle(result)["text/html"])

        assert not page.all("a")
        assert "127.0.0.1" not in page.text
        assert "640 × 480 px" in page.text
        assert not any(map(is_local, ["https://e.org/127.0.0.1", "http://[::", "cat.png"]))

    def test_pictures_without_a_prompt_say_what_was_done(self) -> None:
        result = Result(operation="remove-background", kind="images", images=["u"])

        assert "Remove background" in check(result_bundle(result)["text/html"]).text

    def test_the_task_id_and_the_numbers_are_folded(self) -> None:
        html = result_bundle(Result(caption="a cat"))["text/html"]

        assert html.index("<details") < html.index("4 queries") < html.index("nb20260131a1")
        assert "open" not in check(html).all("details")[0]

    def test_faces_are_framed_where_they_are(self) -> None:
        faces = [{"box": [64, 48, 160, 120], "score": 0.9}]
        result = Result(kind="boxes", operation="detect-faces", faces=faces, photo=photograph)

        html = result_bundle(result)["text/html"]

        assert 'style="left:10.0%;top:10.0%;width:25.0%;height:25.0%"' in html
        assert "0.90" in check(html).text

    def test_faces_are_not_framed_if_the_size_of_the_picture_is_not_known(self) -> None:
        faces = [{"box": [6400, 48, 160, 120], "score": 0.9}]
        result = Result(kind="boxes", operation="detect-faces", faces=faces, photo=photograph)

        assert 'class="io-face"' not in result_bundle(result)["text/html"]

    @pytest.mark.parametrize(
        ("kind", "text"),
        [
            ("caption", "holds no caption"),
            ("images", "holds no image"),
            ("boxes", "No face was found"),
            ("prompts", "holds no prompt"),
            ("rows", "The list is empty"),
            ("style", "names no style"),
        ],
    )
    def test_an_empty_result_says_so(self, kind: str, text: str) -> None:
        bundle = result_bundle(Result(kind=kind))

        assert text in check(bundle["text/html"]).text
        assert text in bundle["text/plain"]

    def test_an_answer_of_no_known_form_shows_its_fields(self) -> None:
        result = Result(kind="training", data={"jobId": "j1", "progress": 40, "status": 1})

        text = check(result_bundle(result)["text/html"]).text

        assert ("jobId" in text, "40" in text, "status" in text) == (True, True, False)

    def test_more_rows_than_shown_are_said(self) -> None:
        result = Result(kind="rows", rows=[{"name": f"m{i}"} for i in range(25)])

        assert "5 more rows: result.rows" in check(result_bundle(result)["text/html"]).text

    def test_a_failed_result_is_an_error_card(self) -> None:
        result = Result(status="failed", error="HTTP 404\n  → check the address")

        html = result_bundle(result)["text/html"]

        assert "io-badge failed" in html
        assert "HTTP 404\n  → check the address" in check(html).text

    def test_a_picture_that_cannot_be_read_does_not_break_the_card(self) -> None:
        def broken(size: int) -> Thumbnail:
            raise JournalError("the history is gone")

        assert "a cat" in result_bundle(Result(caption="a cat", photo=broken))["text/html"]

    @pytest.mark.parametrize(
        ("state", "advice"),
        [
            ("running", "%imgopen wait nb1"),
            ("submitted", "%imgopen wait nb1"),
            ("failed", "Check the image"),
            ("refused", "%imgopen describe --help"),
            ("lost", "%imgopen resume"),
            ("created", "%imgopen resume"),
        ],
    )
    def test_a_task_without_a_result_says_what_to_do(self, state: str, advice: str) -> None:
        bundle = task_bundle(Task(state, message="too dark"))

        page = check(bundle["text/html"])
        for text in (state, advice, "too dark", "12 s"):
            assert text in page.text
            assert text in bundle["text/plain"]

    def test_a_task_with_a_result_shows_the_result(self) -> None:
        result = Result(caption="a cat")

        assert task_bundle(Task("succeeded", result_or_none=result)) == result_bundle(result)

    def test_the_packages_own_result_is_shown(self) -> None:
        """The stand-ins above promise no more than the real class keeps."""
        data = {"caption": "a cat", "tags": [{"name": "cat", "score": 0.9}], "engine": "e"}
        result = RealResult(
            "nb1", "describe", "caption", data, "caption", model="clip", image="c.png"
        )

        assert "a cat" in check(result_bundle(result)["text/html"]).text


class TestStyle:
    def test_an_output_carries_only_the_rules_that_it_needs(self) -> None:
        (style,) = Page(result_bundle(Result(caption="a cat"))["text/html"]).styles

        assert "& .io-caption{" in style
        assert ".io-btn" not in style
        assert "--io-ok" not in style
        assert len(style) < 3_100

    def test_every_rule_stays_inside_the_class_of_its_output(self) -> None:
        """The class stands three times: JupyterLab's rules for rendered HTML have two classes."""
        (style,) = Page(result_bundle(Result(caption="a cat"))["text/html"]).styles
        scope = "." + str(environment().globals["scope"])

        assert style.startswith(f"{scope * 3}{{")
        assert style.endswith("}")
        depth = 0
        for place, sign in enumerate(style):
            depth += (sign == "{") - (sign == "}")
            assert depth > 0 or place in range(len(scope) * 3) or place == len(style) - 1

    def test_every_rule_of_the_sheet_begins_at_our_root(self) -> None:
        for rule in (rule for rule in rules() if not rule.keyframes):
            for selector in re.split(r",(?![^()]*\))", rule.selectors):
                themed = r'(\[data-jp-theme-light="false"\] |body:not\(\[data-jp-theme-light\]\) )?'
                assert re.match(themed + r"\.imgopen", selector.strip())

    def test_a_token_that_only_another_token_uses_stays(self) -> None:
        css = css_of(rule for rule in rules() if not rule.within)

        used = set(re.findall(r"var\((--io-[\w-]+)", css))
        assert used == set(re.findall(r"(--io-[\w-]+):", css))

    def test_nothing_is_loaded_from_elsewhere(self) -> None:
        assert not re.search(r"url\(|@import|@font-face|expression|</", css_of(rules()))

    def test_no_value_can_take_the_place_of_the_rules(self) -> None:
        html = report(compare([Result(caption="a cat")]), "<style></style>")

        (style,) = Page(html).styles
        assert "io-caption" in style


class TestComparison:
    ANSWERS = (
        Result(image="a.png", caption="a tabby cat on a mat", photo=photograph),
        Result(image="a.png", model="deepdanbooru", tags=[Tag("cat", 0.9), Tag("red_mat", 0.4)]),
        Result(image="b.png", caption="a dog", backend="sandbox"),
        Result(image="b.png", model="deepdanbooru", status="failed", error="too dark"),
    )  # fmt: skip

    def test_shared_and_own_terms_differ_by_more_than_colour(self) -> None:
        html = comparison_bundle(compare(self.ANSWERS))["text/html"]

        assert '<code class="io-chip shared"><span class="m"></span><b><bdi>cat</bdi></b>' in html
        assert '<code class="io-chip unique"><span class="m"></span><bdi>tabby</bdi></code>' in html

    def test_everything_is_said(self) -> None:
        bundle = comparison_bundle(compare(self.ANSWERS))

        page = check(bundle["text/html"])
        for text in ("2 images · clip, deepdanbooru · mean agreement 0.50", "too dark", "a dog"):
            assert text in page.text
            assert text in bundle["text/plain"]
        assert [image["alt"] for image in page.all("img")] == ["a tabby cat on a mat"]

    def test_three_models_show_their_pairs_and_partly_shared_terms(self) -> None:
        third = Result(image="a.png", model="other", caption="a tabby cat")

        page = check(comparison_bundle(compare([*self.ANSWERS, third]))["text/html"])

        assert "said by several" in page.text
        assert "clip – other" in page.text

    def test_report_is_a_complete_page_that_needs_nothing_else(self) -> None:
        html = report(compare(self.ANSWERS), "<b>Cats</b>")

        page = check(html, frozenset({"html", "head", "body", "meta", "title", "main", "h1"}))
        assert html.startswith("<!DOCTYPE html>")
        assert '<meta charset="utf-8">' in html
        assert page.texts.count("<b>Cats</b>") == 2
        assert "prefers-color-scheme:dark" in html
        html.encode("utf-8")


def notebook_bytes(*bundles: dict[str, Any]) -> int:
    outputs = [nbformat.v4.new_output("display_data", data=bundle) for bundle in bundles]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(outputs=outputs)])
    nbformat.validate(notebook)
    return len(nbformat.writes(notebook).encode())


def rough(seed: int) -> bytes:
    """A JPEG as hard to compress as any photograph: noise."""
    noise = Image.frombytes("RGB", (256, 256), random.Random(seed).randbytes(256 * 256 * 3))
    out = io.BytesIO()
    noise.save(out, "JPEG")
    return thumbnail(out.getvalue(), 192).jpeg


class TestBudget:
    def hundred(self, caption: str) -> list[Result]:
        tags = [Tag(f"tag_number_{i}", 0.5) for i in range(30)]
        return [
            Result(image=f"pictures/{i}.jpg", model=model, caption=caption, tags=found)
            for i in range(100)
            for model, found in (("clip", []), ("deepdanbooru", tags))
        ]

    def test_a_hundred_photographs_by_two_models_fit_whole(self) -> None:
        """7.5 kB is more than the mean 192 px photograph takes."""
        jpeg = rough(1)[:7_500]

        bundle = comparison_bundle(
            compare(self.hundred("a cat " * 15), thumbnail=lambda label: jpeg)
        )

        assert len(check(bundle["text/html"]).all("img")) == 100
        assert notebook_bytes(bundle) <= 1_500_000

    @pytest.mark.parametrize("caption", ["<&\"'>" * 20_000, "猫" * 100_000])
    def test_the_worst_pictures_and_captions_are_held_to_the_budget_and_said(
        self, caption: str
    ) -> None:
        jpeg = rough(1) + bytes(8_000 - len(rough(1)))

        bundle = comparison_bundle(compare(self.hundred(caption), thumbnail=lambda label: jpeg))

        page = check(bundle["text/html"])
        bare = 100 - len(page.all("img"))
        assert f"{bare} images are left out to keep the notebook small" in page.text
        assert notebook_bytes(bundle) <= 1_500_000

    def test_a_hundred_cards_of_photographs_add_at_most_a_megabyte_and_a_half(self) -> None:
        cards = [
            result_bundle(
                Result(
                    caption="a portrait of a person wearing orange, possibly with a helmet",
                    params={"image": "photographs/portrait_0001.jpg", "model": "clip"},
                    photo=lambda size, path=path: thumbnail(path.read_bytes(), size),
                )
            )
            for path in samples().values()
        ]

        assert sum(map(notebook_bytes, cards)) / len(cards) * 100 <= 1_500_000

    def test_a_card_of_the_worst_picture_stays_below_a_hundred_kilobytes(self) -> None:
        noise = io.BytesIO()
        Image.frombytes("RGB", (512, 512), random.Random(1).randbytes(512 * 512 * 3)).save(
            noise, "PNG"
        )
        worst = thumbnail(noise.getvalue(), 512)

        assert (
            notebook_bytes(result_bundle(Result(caption="a cat", photo=lambda size: worst)))
            < 100_000
        )


class TestRecord:
    def test_a_result_can_be_read_back(self) -> None:
        result = Result(
            caption="a cat",
            tags=[Tag("cat", 0.9), Tag("mat")],
            params={"model": "clip"},
            photo=photograph,
        )

        (task,) = result_bundle(result)[MIME]["tasks"]

        assert task == {
            "task_id": result.task_id, "server_id": "81", "operation": "describe", "model": "clip",
            "image": "cat.png", "caption": "a cat", "tags": [["cat", 0.9], "mat"],
            "status": "succeeded", "backend": "real", "seconds": 3.24, "queries": 4, "attempts": 1,
            "params": {"model": "clip"},
        }  # fmt: skip

    @pytest.mark.parametrize("text", ["x" * 200_000, "猫" * 200_000, "\x00" * 50_000])
    def test_it_never_exceeds_20_kb(self, text: str) -> None:
        big = Result(
            caption=text, tags=[Tag(text[:200])] * 500, params={f"p{i}": text for i in range(200)}
        )

        for count in (1, 3):
            record = comparison_bundle(compare([replace(big, image=f"{i}") for i in range(count)]))[
                MIME
            ]
            assert len(json.dumps(record)) <= MAX_BYTES
        assert len(json.dumps(result_bundle(big)[MIME])) <= MAX_BYTES

    def test_what_does_not_fit_is_counted(self) -> None:
        record = comparison_bundle(
            compare([Result(image=f"{i}.png", caption="a") for i in range(500)])
        )[MIME]

        assert len(record["tasks"]) + record["omitted"] == 500

    def test_it_holds_no_picture_and_no_object(self) -> None:
        params = {
            "image": "data:image/png;base64,AAAA",
            "mask": Image.new("L", (2, 2)),
            "x": float("nan"),
        }

        (task,) = result_bundle(Result(params=params))[MIME]["tasks"]

        assert task["params"] == {
            "image": "<data URL of 26 characters>",
            "mask": "<Image>",
            "x": None,
        }


class TestHistory:
    ROWS = (
        {"task_id": "nb1", "operation": "describe", "model": "clip", "image": "https://e.org/cat.png",
         "status": "succeeded", "caption": "a cat", "submitted": 1.7e9, "finished": 1.7e9 + 3},
        {"task_id": "nb2", "operation": "flux", "status": "failed", "error": "too dark",
         "backend": "sandbox"},
        {"task_id": "nb3", "operation": "flux", "status": "succeeded", "image_urls": ["u", "v"]},
    )  # fmt: skip

    def test_shows_the_newest_first(self) -> None:
        text = check(HistoryView(self.ROWS)._repr_mimebundle_()["text/html"]).text

        assert text.index("nb3") < text.index("nb2") < text.index("nb1")
        for part in ("✓ succeeded", "✗ failed", "too dark", "2 images", "3.0 s", "sandbox"):
            assert part in text

    def test_long_histories_are_cut_and_say_so(self) -> None:
        bundle = history_bundle([{**self.ROWS[0], "task_id": f"nb{i}"} for i in range(120)])

        assert "70 older tasks" in check(bundle["text/html"]).text
        assert "… 70 older tasks" in bundle["text/plain"]

    def test_empty_history_says_so(self) -> None:
        assert "The history is empty." in check(history_bundle([])["text/html"]).text
        assert repr(HistoryView([])) == "The history is empty."

    def test_frame_has_every_row(self) -> None:
        view = HistoryView(self.ROWS)

        assert view.frame["task_id"].tolist() == ["nb1", "nb2", "nb3"]
        assert len(view) == len(list(view)) == 3


class TestTextTable:
    def test_cells_are_aligned(self) -> None:
        assert text_table([("cat", 1), ("a dog", None)], ["what", "n"], 60).splitlines() == [
            "what   n", "─────  ─", "cat    1", "a dog",
        ]  # fmt: skip

    def test_mappings_are_read_by_column(self) -> None:
        assert text_table([{"b": 2, "a": 1}], ["a", "b"], 60).splitlines()[-1] == "1  2"

    @pytest.mark.parametrize(
        "text", ["word " * 60, "x" * 300, "猫" * 120, "گربه " * 50, "a\nb\n" * 9]
    )
    @pytest.mark.parametrize("width", [40, 72, 100])
    def test_no_line_is_wider_than_the_terminal(self, text: str, width: int) -> None:
        table = text_table([("cat.png", text, text)], ["picture", "clip", "deepdanbooru"], width)

        assert max(map(display_width, table.splitlines())) <= width

    def test_width_is_the_terminals(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COLUMNS", "60")

        table = text_table([("x " * 200,)], ["a"])

        assert 50 < max(map(len, table.splitlines())) <= 60

    def test_controls_are_shown_not_obeyed(self) -> None:
        assert "␛[2J" in text_table([("\x1b[2J",)], ["a"], 60)

    def test_no_rows_are_a_heading(self) -> None:
        assert text_table([], ["a", "b"], 60).splitlines() == ["a  b", "─  ─"]


def test_shown_says_what_is_left_out() -> None:
    assert shown("abcdef", 4) == "abcd … 2 more characters"
    assert shown("abcd", 4) == "abcd"


def test_templates_are_part_of_the_package() -> None:
    names = set(os.listdir(environment().loader.searchpath[0]))  # type: ignore[union-attr]

    assert {"result.html", "task.html", "comparison.html", "history.html", "report.html"} <= names


def test_the_record_names_pictures_without_the_folders_of_this_machine():
    """One by one and in lists, as a training has them."""
    here = os.getcwd()
    params = {"images": [f"{here}/a.png", f"{here}/b.png"], "image": f"{here}/c.png"}

    (row,) = record([{"operation": "train", "params": params}])["tasks"]

    assert row["params"] == {"images": ["a.png", "b.png"], "image": "c.png"}


class Elsewhere(HTMLParser):
    """What GitHub leaves of an output: no style, no classes, no controls, no scripts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.lines: list[str] = [""]
        self.images: list[str] = []
        self.skipped = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.skipped += tag == "style"
        if tag == "img":
            self.images.append(dict(attrs)["alt"] or "")
        if tag in ("div", "dt", "dd", "li", "tr", "figure", "summary", "figcaption"):
            self.lines.append("")

    def handle_endtag(self, tag: str) -> None:
        self.skipped -= tag == "style"
        if tag in ("div", "td", "th", "dd"):
            self.lines.append("")

    def handle_data(self, data: str) -> None:
        self.lines[-1] += "" if self.skipped else data

    @property
    def said(self) -> list[str]:
        return [line.strip() for line in self.lines if line.strip()]


class TestElsewhere:
    """Where a notebook loses its style, each card is read from above to below."""

    PARAMS: ClassVar = {"image": "photos/cat.png", "model": "clip"}

    def test_a_caption(self) -> None:
        result = Result(caption="a cat on a mat", params=self.PARAMS, photo=photograph)

        page = Elsewhere(result_bundle(result)["text/html"])

        assert page.images == ["a cat on a mat"]
        assert page.said[:3] == ["cat.png", "a cat on a mat", "describe · clip · 3.2 s"]
        assert page.said[-1] == "%imgopen describe photos/cat.png --model clip"

    def test_tags_are_words_apart(self) -> None:
        tags = [Tag("cat", 0.9), Tag("red mat", 0.8)]

        said = Elsewhere(result_bundle(Result(tags=tags))["text/html"]).said

        assert "cat red mat" in said
        assert "Scores" in said
        assert "0.90" in said

    def test_before_and_after_are_two_images_with_their_names(self) -> None:
        result = Result(
            operation="upscale", kind="images", images=["http://127.0.0.1:9/1.png"],
            params={"image": "photos/cat.png"}, photo=photograph,
        )  # fmt: skip

        html = result_bundle(result)["text/html"]
        page = Elsewhere(html)

        assert page.images == ["before upscale", "after upscale"]
        assert page.said[:2] == ["before", "after"]
        assert "127.0.0.1" not in "".join(page.lines)
        assert "href" not in html
        assert page.said[-1] == "%imgopen upscale photos/cat.png"

    @pytest.mark.parametrize(
        ("state", "line"),
        [("running", "%imgopen wait nb1"), ("failed", "%imgopen describe cat.png")],
    )
    def test_a_task_ends_with_the_line_that_goes_on(self, state: str, line: str) -> None:
        task = Task(state, message="too dark", params={"image": "cat.png"})

        assert line in Elsewhere(task_bundle(task)["text/html"]).said

    def test_a_line_that_nobody_would_copy_is_left_out(self) -> None:
        result = Result(caption="a", params={"image": "x" * 3000})

        assert "%imgopen" not in "".join(Elsewhere(result_bundle(result)["text/html"]).lines)
