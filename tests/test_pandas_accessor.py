"""`df.imgopen`: there whichever is imported first, and never the one to import pandas."""

from __future__ import annotations

import copy
import pickle
import pydoc
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import imgopen_nb
from imgopen_nb import session as session_module
from imgopen_nb.batch.plan import Plan
from imgopen_nb.errors import ImgOpenError, UnknownNameError
from imgopen_nb.session import Session

from .service import Service, caption_of
from .stub import Stub

URLS = ["https://e.org/1.jpg", "https://e.org/2.jpg", ""]


@pytest.fixture
def frame(session: Session, stub: Stub) -> pd.DataFrame:
    """A table of images, and a current session whose service describes them."""
    Service(duration=lambda: 0.0).on(stub)
    session_module.set_current(session)
    return pd.DataFrame({"url": URLS, "no": [1, 2, 3]}, index=["x", "y", "z"])


IMPORTS = [
    "import imgopen_nb, pandas",
    "import pandas, imgopen_nb",
    "import imgopen_nb; from pandas import DataFrame; import pandas",
    "import imgopen_nb; import pandas.core.frame; import pandas",
    "import imgopen_nb, importlib.util; importlib.util.find_spec('pandas'); import pandas",
    "import imgopen_nb, importlib; importlib.reload(imgopen_nb); import pandas",
    "import imgopen_nb, importlib; importlib.reload(imgopen_nb.pandas_accessor).install(); "
    "import pandas",
    "import imgopen_nb, sys; [sys.modules.pop(n) for n in list(sys.modules) "
    "if n.startswith('imgopen_nb')]; import imgopen_nb, pandas",
    "import imgopen_nb, pandas, importlib; importlib.reload(imgopen_nb); "
    "importlib.reload(imgopen_nb.pandas_accessor).install()",
    "import imgopen_nb, pandas, importlib; importlib.reload(pandas)",
    "import imgopen_nb, threading; "
    "threads = [threading.Thread(target=__import__, args=('pandas',)) for _ in range(4)]; "
    "[t.start() for t in threads]; [t.join() for t in threads]; import pandas",
]


@pytest.mark.parametrize("imports", IMPORTS)
def test_the_accessor_is_there_in_whatever_order_things_are_imported(imports: str):
    """And its finder is gone once pandas is loaded; no warning either."""
    code = (
        f"{imports}\nimport sys\n"
        "print(pandas.DataFrame({'url': []}).imgopen.describe.__name__, "
        "[f for f in sys.meta_path if 'pandas_accessor' in type(f).__module__])"
    )

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True
    )

    assert (done.stdout.strip(), done.stderr) == ("describe []", "")


def test_pandas_is_not_imported_for_it():
    code = "import sys, imgopen_nb; print('pandas' in sys.modules, 'numpy' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False False"


def test_without_pandas_the_package_works_and_the_error_is_the_usual_one(tmp_path: Path):
    """A pandas that fails while it loads is no matter of ours, and may be tried again."""
    (tmp_path / "pandas.py").write_text("raise ImportError('broken here')")
    code = (
        "import imgopen_nb\n"
        "for _ in range(2):\n"
        "    try: import pandas\n"
        "    except ImportError as error: print(error)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": f"{tmp_path}:{Path(imgopen_nb.__file__).parent.parent}"},
        check=True,
    )

    assert done.stdout.split("\n")[:2] == ["broken here", "broken here"]


def test_an_operation_returns_a_frame_that_joins(frame: pd.DataFrame):
    wide = frame.imgopen.describe("url", models=["clip", "deepdanbooru"], progress=False)

    joined = frame.join(wide)

    assert list(joined.columns) == ["url", "no", "clip", "deepdanbooru", "error"]
    assert joined.loc["y", "clip"] == caption_of(URLS[1], "clip")
    assert joined.loc["z", "error"] == "this row has no image"


def test_the_column_may_be_left_out_where_it_is_clear(frame: pd.DataFrame):
    assert frame.imgopen.describe(model="clip").iloc[0, 0] == caption_of(URLS[0], "clip")


def test_a_dry_run_returns_the_plan(frame: pd.DataFrame, stub: Stub):
    made = frame.imgopen.describe("url", dry_run=True)

    assert isinstance(made, Plan)
    assert (made.new, made.unusable, stub.requests) == (2, 1, [])


def test_dir_lists_the_operations_that_go_through_a_column(frame: pd.DataFrame):
    names = dir(frame.imgopen)

    assert {"describe", "detect_faces", "face_swap", "text2image", "expand_prompt"} <= set(names)
    assert not {"models", "query"} & set(names)
    assert all(callable(getattr(frame.imgopen, name)) for name in names)


def test_an_unknown_operation_is_our_error_and_an_attribute_error(frame: pd.DataFrame):
    """So that hasattr, copying and completion work as usual."""
    with pytest.raises(UnknownNameError, match="no operation 'detect_face'") as caught:
        frame.imgopen.detect_face("url")

    assert "did you mean detect_faces" in str(caught.value)
    assert isinstance(caught.value, ImgOpenError)
    assert not hasattr(frame.imgopen, "nonsense")
    assert not hasattr(frame.imgopen, "_repr_html_")
    assert not hasattr(frame.imgopen, "query")


def test_a_slip_is_ours_too(frame: pd.DataFrame, stub: Stub):
    with pytest.raises(UnknownNameError, match="column of the DataFrame called 'urls'"):
        frame.imgopen.describe("urls")
    with pytest.raises(UnknownNameError, match="parameter of describe called 'modle'"):
        frame.imgopen.describe("url", modle="clip")
    assert stub.requests == []


def test_there_is_help(frame: pd.DataFrame):
    said = pydoc.plain(pydoc.render_doc(frame.imgopen.describe))

    assert "describe(column" in said
    for words in ("model:", "dry_run", "A DataFrame with this frame's index"):
        assert words in said
    assert "describe" in repr(frame.imgopen)
    assert "operations of Img Open" in pydoc.render_doc(pd.DataFrame.imgopen)


def test_frames_are_copied_and_pickled_as_before(frame: pd.DataFrame):
    assert dir(frame.imgopen)

    for made in (frame.copy(), copy.deepcopy(frame), pickle.loads(pickle.dumps(frame))):
        pd.testing.assert_frame_equal(made, frame)
        assert dir(made.imgopen)
