"""What lies in the home folder is its owner's alone, and no link leads a write elsewhere."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgopen_nb import files
from imgopen_nb.callbacks.signing import Signer
from imgopen_nb.config.credentials import store_keys
from imgopen_nb.config.settings import load, store_setting
from imgopen_nb.database.database import Database
from imgopen_nb.errors import JournalError, SandboxError, SettingsError
from imgopen_nb.files import draft, write_atomically
from imgopen_nb.sandbox.process import _log_file
from imgopen_nb.session import Session
from imgopen_nb.tasks.session_lock import SessionLock

from .forks import as_user
from .stub import Stub, ok

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no modes of this kind")
OTHER, GROUP = 54321, 54320  # the uid of somebody else, and a group


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    old = os.umask(request.param)
    yield request.param
    os.umask(old)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def readable(folder: Path) -> list[str]:
    """Return what in a folder, and the folder itself, others may read, write or search."""
    return [str(path) for path in (folder, *folder.rglob("*")) if mode(path) & 0o077]


def use(home: Path) -> None:
    """Put everything into a home folder that a session puts there."""
    store_keys(home, "an-id-1", "a-secret-1")
    store_setting(home, "timeout", "5")
    Signer(home).rotate()
    database = Database(home)
    database.run("INSERT INTO fresh_runs VALUES ('x', 1.0)")
    assert (home / "imgopen.sqlite-wal").exists()
    lock = SessionLock(home)
    assert not lock.id.endswith("-pid")
    write_atomically(home / "published" / "a-task" / "a-hash", b"x")
    with Stub() as stub, Session(stub.url, home=home) as session:
        stub.answer = lambda request: ok(status=2, caption="a cat")
        session.run("describe", image="https://example.invalid/cat.png")
        assert readable(home) == []
    assert readable(home) == []


@pytest.mark.parametrize("depth", [1, 3])
def test_everything_in_the_home_folder_is_private_whatever_the_umask(
    tmp_path: Path, umask: int, depth: int
):
    """Three umasks, the folder itself or its parents missing: 0600 and 0700 alone."""
    home = tmp_path.joinpath(*"abc"[:depth])
    use(home)
    assert readable(tmp_path / "a") == []


@pytest.mark.parametrize("before", [0o755, 0o777, 0o750, 0o775])
def test_a_home_folder_that_is_ours_alone_is_closed_to_others(tmp_path: Path, before: int):
    home = tmp_path / "home"
    use(home)
    (home / "imgopen.sqlite").chmod(before & 0o666)
    home.chmod(before)

    Database(home).run("SELECT 1")
    assert (mode(home), mode(home / "imgopen.sqlite")) == (0o700, 0o600)


@pytest.mark.parametrize("name", ["notes.txt", ".bashrc", "photos", "keys.json.bak"])
def test_a_folder_with_other_things_keeps_its_mode(tmp_path: Path, name: str):
    """The working folder or ~ as the home: only our own files are made private."""
    tmp_path.chmod(0o755)
    (tmp_path / name).touch(0o644)
    (tmp_path / name).chmod(0o644)
    (tmp_path / "imgopen.sqlite").touch()
    (tmp_path / "imgopen.sqlite").chmod(0o644)

    Database(tmp_path).run("SELECT 1")
    assert (mode(tmp_path), mode(tmp_path / name)) == (0o755, 0o644)
    assert mode(tmp_path / "imgopen.sqlite") == 0o600


@pytest.mark.parametrize("bit", [stat.S_ISGID, stat.S_ISVTX])
def test_a_folder_that_is_shared_on_purpose_keeps_its_mode(tmp_path: Path, bit: int):
    tmp_path.chmod(0o770 | bit)
    Database(tmp_path).run("SELECT 1")
    assert mode(tmp_path) == 0o770 | bit


as_root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root")


@as_root
def test_two_users_of_one_group_share_a_history(cached: None, stub: Stub):
    """The second is answered from what the first has asked; a sandbox is each one's own."""
    stub.answer = lambda request: ok(status=2, caption="a cat")
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        home = Path(place, "home")
        home.mkdir()
        os.chown(home, OTHER, GROUP)
        home.chmod(0o2770)

        def ask() -> list[object]:
            os.umask(0o002)
            with Session(stub.url, "an-id-1", "a-secret-1", home=home) as session:
                result = session.run("describe", image="https://example.invalid/cat.png")
                log = _log_file(home)
                named = session.manager._lock.id
                return [result.caption, result.cached, log.parent.name, named.endswith("-pid")]

        assert as_user(OTHER, ask, GROUP) == ["a cat", False, "sandbox", False]
        assert as_user(OTHER + 1, ask, GROUP) == ["a cat", True, f"sandbox-{OTHER + 1}", False]
        assert [path.name for path in home.rglob("*") if mode(path) & 0o007] == []
        assert len(stub.submissions()) == 1


@as_root
@pytest.mark.parametrize("bits", [0o1777, 0o777])
@pytest.mark.filterwarnings("ignore:other users of this machine")
def test_what_another_user_put_into_a_folder_of_everybody_is_not_used(tmp_path: Path, bits: int):
    """A history or its log would be believed, and the settings say where the key is sent."""
    tmp_path.chmod(bits)
    for name in ("imgopen.sqlite", "imgopen.sqlite-wal", "imgopen.sqlite-journal"):
        planted = tmp_path / name
        planted.touch(0o666)
        os.chown(planted, OTHER, OTHER)
        with pytest.raises(JournalError, match="belongs to another user"):
            Database(tmp_path).run("SELECT 1")
        planted.unlink()
        (tmp_path / "imgopen.sqlite").unlink(missing_ok=True)
    settings = tmp_path / "settings.json"
    settings.write_text('{"base_url": "https://evil.invalid"}')
    assert load(home=tmp_path).base_url == "https://evil.invalid"
    os.chown(settings, OTHER, OTHER)
    for use_it in (lambda: load(home=tmp_path), lambda: store_setting(tmp_path, "rate", "1")):
        with pytest.raises(SettingsError, match=r"settings\.json was not read"):
            use_it()


@as_root
def test_a_home_folder_of_another_user_is_named_in_a_warning(tmp_path: Path):
    os.chown(tmp_path, OTHER, OTHER)
    with pytest.warns(UserWarning, match="folder of your own"):
        Database(tmp_path).run("SELECT 1")


@pytest.mark.parametrize("bits", [0o1777, 0o777])
def test_a_folder_that_anybody_may_write_to_is_named_in_a_warning(tmp_path: Path, bits: int):
    (tmp_path / "other").touch()
    tmp_path.chmod(bits)
    with pytest.warns(UserWarning, match="IMGOPEN_HOME"):
        Database(tmp_path).run("SELECT 1")


def test_a_private_home_gives_no_warning(tmp_path: Path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        use(tmp_path / "home")
        load(home=tmp_path / "home")


def test_a_key_file_that_others_can_read_is_closed_and_that_is_said_once(tmp_path: Path):
    store_keys(tmp_path, "an-id-1", "a-secret-1").chmod(0o644)

    with pytest.warns(UserWarning, match=r"could read the access key.*made private"):
        assert load(home=tmp_path).keys
    assert mode(tmp_path / "keys.json") == 0o600
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load(home=tmp_path).keys


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root")
def test_keys_of_another_user_are_not_used(tmp_path: Path):
    """Whoever may put a file into the folder could have calls made, and billed, with a key."""
    os.chown(store_keys(tmp_path, "an-id-1", "a-secret-1"), OTHER, OTHER)
    with pytest.raises(SettingsError, match="belongs to another user"):
        load(home=tmp_path)

    signer = Signer(tmp_path)
    signer.rotate()
    os.chown(tmp_path / "callbacks.key", OTHER, OTHER)
    with pytest.raises(SettingsError, match="another user"):
        Signer(tmp_path).sign("callback", "a-task")


class TestLinks:
    """A link that somebody has put where a file of ours is written."""

    @pytest.fixture
    def victim(self, tmp_path: Path) -> Path:
        (tmp_path / "victim").write_text("precious")
        return tmp_path / "victim"

    def test_at_the_temporary_file_s_name(
        self, tmp_path: Path, victim: Path, monkeypatch: pytest.MonkeyPatch
    ):
        """Even if its random name is guessed, and the link leads nowhere yet."""
        monkeypatch.setattr(files.os, "urandom", lambda size: b"0" * size)
        part = tmp_path / f".imgopen-{(b'0' * 8).hex()}.part"
        for target in (victim, tmp_path / "nowhere"):
            part.symlink_to(target)
            with pytest.raises(OSError, match="exists"):
                write_atomically(tmp_path / "file", b"a secret")
            part.unlink(missing_ok=True)
        assert (victim.read_text(), (tmp_path / "nowhere").exists()) == ("precious", False)

    def test_put_in_the_temporary_file_s_place(self, tmp_path: Path, victim: Path):
        def swap(part: Path) -> None:
            part.unlink()
            part.symlink_to(victim)

        with pytest.raises(OSError, match="replaced"), draft(tmp_path / "new", data=b"x") as part:
            swap(part)
        assert (victim.read_text(), (tmp_path / "new").exists()) == ("precious", False)

    def test_at_the_final_name_it_is_replaced(self, tmp_path: Path, victim: Path):
        (tmp_path / "keys.json").symlink_to(victim)
        store_keys(tmp_path, "an-id-1", "a-secret-1")
        assert (victim.read_text(), (tmp_path / "keys.json").is_symlink()) == ("precious", False)

    def test_the_history_is_not_made_where_a_link_to_nowhere_leads(self, tmp_path: Path):
        home = tmp_path / "home"
        home.mkdir()
        (home / "imgopen.sqlite").symlink_to(tmp_path / "nowhere")
        with pytest.raises(JournalError):
            Database(home).run("SELECT 1")
        assert not (tmp_path / "nowhere").exists()

    def test_the_sandbox_s_log_is_not_written_through_one(self, tmp_path: Path, victim: Path):
        (tmp_path / "sandbox").mkdir()
        (tmp_path / "sandbox" / "sandbox.log").symlink_to(victim)
        with pytest.raises(SandboxError, match="cannot write"):
            _log_file(tmp_path)
        assert victim.read_text() == "precious"
