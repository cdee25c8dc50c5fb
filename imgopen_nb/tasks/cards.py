"""The cards of a result and of a task: plain text, HTML, and the JSON kept in a saved notebook.

Jinja2 escapes all values. Nothing is ever passed to `IPython.display.HTML`, which reads files and
URLs. Loads neither pandas nor Pillow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..display.parts import Bundle, seconds, shot, thumbnail_of
from ..display.record import MIME, name_and_score, record
from ..display.rendering import is_local, render
from ..display.tables import text_table
from ..images.thumbnail import Thumbnail
from ..syntax.snippets import repeat_line
from ..text import as_text, as_typed, in_terminal, short_path, shown, visible

MAX_ROWS = 20
MAX_COLUMNS = 8
MAX_OUTPUTS = 32
_ALONE = 256  # pixels of the given image where nothing else is shown: a card has 232 for it
_LAID = 288  # pixels of an image in a before/after pair: 8 kB at most
_NOTHING = {
    "caption": "The answer holds no caption.",
    "style": "The answer names no style.",
    "images": "The answer holds no image.",
    "boxes": "No face was found.",
    "prompts": "The answer holds no prompt.",
    "rows": "The list is empty.",
}
# What to do about a task without a result. A line in backticks stands below as code.
_PLACEHOLDER = "The sandbox has no model for this, so the image only stands for the result."
_ADVICE = {
    "created": "Whether it was sent is not known yet. To find out: `%imgopen resume`",
    "lost": "Whether the service took it is not known. To look for it there, and to send it again "
    "once that is safe: `%imgopen resume`",
    "failed": "The service took it and could not do it. Check the image and the parameters, "
    "then run the call again.",
    "refused": "The service did not take it, so nothing was done. See %imgopen config and "
    "%imgopen {operation} --help.",
}
_GOES_ON = "It continues at the service. To get its result: `%imgopen wait {id}`"
MAX_LINE = 2000  # characters; a line that is cut would be another call


def result_view(result: Any) -> dict[str, Any]:
    """Return the variables of result.html."""
    failed = result.status in ("failed", "refused")
    change = None if failed else _change(result)
    has_input = result.image and not failed and not change
    given = _given(result) if has_input else None
    columns, rows = _table(result)
    alt = result.caption or "the given image"
    return {
        "failed": failed,
        "change": change,
        "operation": result.operation,
        "error": result.error or "The service gives no reason.",
        "image": result.image,
        "use": _nameable(result.image if failed or not result.images else str(result.images[0])),
        "given": shot(given, result.image, alt) if has_input else None,
        "faces": _frames(result, given),
        "prompt": _prompt(result),
        "title": _title(result),
        "caption": "" if _same(result.caption, result.tags) else result.caption,
        "tags": result.tags,
        "outputs": [] if failed or change else _outputs(result),
        "prompts": result.prompts[:MAX_ROWS],
        "columns": columns,
        "rows": rows,
        "notes": _notes(result),
        "facts": _of(result)[:3],
        "backend": result.backend,
        "fidelity": result.fidelity or "",
        "scored": any(tag.score is not None for tag in result.tags),
        "details": _details(result),
        "line": _line(result.operation, result.params),
    }


def task_view(task: Any) -> dict[str, Any]:
    """Return what task.html shows of a task without a result."""
    state = str(task.state)
    looked_for = getattr(task, "looked_for", "")
    advice = f"{looked_for.capitalize()}." if looked_for else _ADVICE.get(state, _GOES_ON)
    names = {"operation": task.operation.name, "id": task.id}
    said, _, line = as_typed(advice.format(**names)).partition("`")
    known = [task.params.get("model"), seconds(task.seconds)]
    failed = state in ("failed", "refused")
    return {
        "failed": failed,
        "state": state,
        "operation": task.operation.name,
        "image": getattr(task, "image", None),
        "use": _nameable(getattr(task, "image", None)),
        "message": str(task.message or ""),
        "advice": said.strip(),
        "line": line.rstrip("`") or (_line(task.operation.name, task.params) if failed else ""),
        "notes": list(map(str, getattr(task, "remarks", ()))),
        "facts": [str(k) for k in known if k],
        "details": [("Task", task.id)],
        "backend": getattr(task, "backend", "real"),
    }


def result_text(result: Any) -> str:
    """Return a result as text, for terminals, logs and screen readers."""
    said = [
        f"failed: {result.error or 'no reason given'}" if result.status != "succeeded" else "",
        "" if _same(result.caption, result.tags) else result.caption or "",
        _tag_line(result.tags) if result.tags else "",
        *(f"{i}. {text}" for i, text in enumerate(result.prompts[:MAX_ROWS], 1)),
        *result.images[:MAX_OUTPUTS],
    ]
    columns, rows = _table(result)
    table = text_table(rows, columns) if rows else ""
    lines = [shown(part) for part in said if part] + [table] * bool(table)
    head = " · ".join(
        [result.operation, *filter(None, [result.model, short_path(result.image or "")])]
    )
    tail = " · ".join(filter(None, [backend(result), *facts(result)[1:]]))
    body = "\n".join(lines) or _NOTHING.get(result.kind, "")
    return visible("\n".join(part for part in (head, body, *_notes(result), tail) if part))


def facts(result: Any) -> list[str]:
    """Return the origin of a result in short facts."""
    return [*_of(result), *_counts(result), f"task {result.task_id}"]


def _of(result: Any) -> list[str]:
    """Return the operation, the model and the time, as far as they are known."""
    return [str(f) for f in (result.operation, result.model, seconds(result.seconds)) if f]


def _counts(result: Any) -> list[str]:
    counts = [(result.queries, "query", "queries", 1), (result.attempts, "attempt", "attempts", 2)]
    return [f"{n} {many if n > 1 else one}" for n, one, many, least in counts if n >= least]


def _details(result: Any) -> list[tuple[str, str]]:
    """Return what a card tells when it is unfolded."""
    known = [
        ("Engine", result.engine if result.backend == "sandbox" else ""),
        ("Requests", ", ".join(_counts(result))),
        ("Task", result.task_id),
    ]
    return [(name, str(value)) for name, value in known if value]


def backend(result: Any) -> str:
    """Return "sandbox (engine, fidelity)", or "" for the real service."""
    known = engine(result)
    return (f"sandbox ({known})" if known else "sandbox") if result.backend == "sandbox" else ""


def engine(result: Any) -> str:
    """Return what computed a result, "" if not known."""
    return ", ".join(filter(None, [result.engine, result.fidelity]))


def _line(operation: str, params: Any) -> str:
    """Return the line that makes a call again, "" if there is none of a sensible length."""
    line = repeat_line(operation, params)
    return visible(line) if len(line) <= MAX_LINE else ""


def _nameable(image: str | None) -> str:
    """Return an image as another call can name it, "" if it existed only in a kernel."""
    name = visible(short_path(image or ""))
    return "" if name.startswith(("<", "data:")) or len(name) > MAX_LINE else name


def _same(caption: str | None, tags: Sequence[Any]) -> bool:
    """Whether the caption is just the list of tags."""
    names = [part.strip() for part in (caption or "").split(",")]
    return bool(tags) and names == [tag.name for tag in tags]


def _given(result: Any) -> Thumbnail | None:
    alone = result.kind in ("caption", "style", "boxes")
    return thumbnail_of(result.thumbnail, _ALONE if alone else 192)


def _change(result: Any) -> dict[str, Any] | None:
    """Return a before/after pair if one image became one of the same shape, else None."""
    if len(result.images) != 1 or not result.image:
        return None
    before = thumbnail_of(result.thumbnail, _LAID)
    after = thumbnail_of(result.output_thumbnail, 0, _LAID)
    if not before or not after:
        return None
    ratio = (before.width * after.height) / (before.height * after.width)
    if not 0.98 < ratio < 1.02:
        return None
    return {
        "before": shot(before, result.image, f"before {result.operation}"),
        "after": _output(after, str(result.images[0]), f"after {result.operation}"),
    }


def _outputs(result: Any) -> list[dict[str, Any]]:
    urls = result.images[:MAX_OUTPUTS]
    size = 512 if len(urls) == 1 else 320 if len(urls) <= 4 else 192
    about = shown(_prompt(result) or result.operation, 120)
    return [
        _output(
            thumbnail_of(result.output_thumbnail, i, size),
            url,
            f"image {i + 1} of {len(result.images)}: {about}",
        )
        for i, url in enumerate(urls)
    ]


def _output(found: Thumbnail | None, url: str, alt: str) -> dict[str, Any]:
    """Return an image with its size, and its address if others can open it too."""
    size = [f"{found.original[0]} × {found.original[1]} px"] if found else []
    return shot(found, "" if found and is_local(url) else url, alt, size)


def _title(result: Any) -> str:
    """Return a heading for images that no prompt describes, as in "Remove background"."""
    named = result.kind != "images" or _prompt(result)
    return "" if named else str(result.operation).replace("-", " ").capitalize()


def _prompt(result: Any) -> str:
    prompt = result.params.get("prompt")
    return prompt if isinstance(prompt, str) and result.kind in ("images", "prompts") else ""


def _notes(result: Any) -> list[str]:
    more = [
        (len(result.images) - MAX_OUTPUTS, "images: " + _all_of("images", "--save FOLDER")),
        (len(result.prompts) - MAX_ROWS, "prompts: " + _all_of("prompts", "--json")),
        (len(result.rows) - MAX_ROWS, "rows: " + _all_of("rows", "--json")),
    ]
    left = [f"{count} more {what}" for count, what in more if count > 0]
    empty = _NOTHING.get(result.kind, "") if result.status == "succeeded" else ""
    filled = (result.caption, result.tags, result.images, result.faces, result.prompts, result.rows)
    if any(filled) or _fields(result) or result.notes:
        empty = ""
    stands = result.kind == "images" and result.fidelity == "placeholder" and result.images
    stands = stands and not result.notes  # which say more
    return [
        *([_PLACEHOLDER] if stands else []),
        *map(str, result.notes),
        *left,
        *([empty] if empty else []),
    ]


def _all_of(name: str, option: str) -> str:
    return option if in_terminal() else f"result.{name}"


def _tag_line(tags: Sequence[Any]) -> str:
    said = [t.name if t.score is None else f"{t.name} {t.score:.2f}" for t in tags[:60]]
    return ", ".join(said) + (f" … {len(tags) - 60} more" if len(tags) > 60 else "")


def _table(result: Any) -> tuple[list[str], list[list[Any]]]:
    """Return the columns and rows of a list, of the faces, or of an answer's plain fields."""
    if result.kind == "boxes":
        rows = [_face_row(i, face) for i, face in enumerate(result.faces, 1)]
        return ["face", "score", "left", "top", "width", "height"], rows[:MAX_ROWS]
    if result.kind == "rows":
        names = list(dict.fromkeys(name for row in result.rows[:MAX_ROWS] for name in row))
        names = names[:MAX_COLUMNS]
        return names, [[_word(row.get(n)) for n in names] for row in result.rows[:MAX_ROWS]]
    return ["field", "value"], [[name, _word(value)] for name, value in _fields(result)]


def _fields(result: Any) -> list[tuple[str, Any]]:
    if result.kind in ("caption", "images", "boxes", "prompts", "rows") or result.tags:
        return []
    plain = ((k, v) for k, v in result.data.items() if isinstance(v, (str, int, float, list)))
    return [(str(k), v) for k, v in plain if k not in _ABOUT and v not in ("", [])][:MAX_ROWS]


_ABOUT = (
    "taskId", "businessTaskId", "status", "backend", "engine", "fidelity", "seconds", "unused",
)  # fmt: skip


def _face_row(number: int, face: Mapping[str, Any]) -> list[Any]:
    _, score = name_and_score(face)
    where: list[Any] = [round(side) for side in _box(face)] or [""] * 4
    return [number, f"{score:.2f}" if score is not None else "", *where]


def _box(face: Mapping[str, Any]) -> list[float]:
    box = face.get("box")
    good = isinstance(box, (list, tuple)) and len(box) == 4
    if not good or not all(
        isinstance(side, (int, float)) and abs(side) < 1e6 for side in box or ()
    ):
        return []
    return [float(side) for side in box or ()]


def _frames(result: Any, given: Thumbnail | None) -> list[dict[str, float]]:
    """Return the boxes in per cent of the image; none if they do not fit its size."""
    boxes = [_box(face) for face in result.faces[:MAX_ROWS]]
    if given is None or not all(boxes):
        return []
    width, height = given.original
    if any(x + w > 1.05 * width or y + h > 1.05 * height for x, y, w, h in boxes):
        return []
    names = (("left", width), ("top", height), ("width", width), ("height", height))
    return [
        {name: round(100 * side / whole, 2) for (name, whole), side in zip(names, box, strict=True)}
        for box in boxes
    ]


def _word(value: Any) -> Any:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    if isinstance(value, (list, tuple)):
        return ", ".join(map(as_text, value[:20]))
    return "" if value is None else as_text(value)


def result_bundle(result: Any) -> Bundle:
    """Return how a notebook shows a result, by MIME type."""
    return {
        "text/plain": result_text(result),
        "text/html": render("result.html", **result_view(result)),
        MIME: record([result]),
    }


def task_bundle(task: Any) -> Bundle:
    """Return how a notebook shows a task: its result, or its state and what to do next."""
    result = task.result_or_none
    if result is not None:
        return result_bundle(result)
    view = task_view(task)
    said = [f"{view['operation']}: {view['state']}", view["message"], view["advice"]]
    said += [as_typed(view["line"]), *view["notes"]]
    facts = [*view["facts"], f"task {task.id}"]
    row = {name: getattr(task, name, None) for name in ("server_id", "image", "params", "backend")}
    row |= {"task_id": task.id, "operation": view["operation"], "model": task.params.get("model")}
    row |= {"status": view["state"], "error": view["message"]}
    return {
        "text/plain": "\n  ".join(shown(s) for s in (*said, " · ".join(facts)) if s),
        "text/html": render("task.html", **view),
        MIME: record([row]),
    }
