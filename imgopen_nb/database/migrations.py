"""The schema of the history's file, as numbered migrations that bring older files up to date."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

# Triggers append every change of a task's status to `events`.
_EVENT = """
    INSERT INTO events (task_id, at, state, detail)
    VALUES (NEW.task_id, (julianday('now') - 2440587.5) * 86400.0, NEW.status, NEW.error);
"""


# A history has few kinds of tasks, so an index by kind and time serves all combinations of filters:
# the newest of each kind that passes are read, and the newest of those are taken.
KIND = "json_array(operation, model, status, backend)"


MIGRATIONS = (
    """
    CREATE TABLE tasks (
        task_id TEXT PRIMARY KEY,
        server_id TEXT,
        operation TEXT NOT NULL,
        model TEXT,
        image TEXT,
        params TEXT NOT NULL,
        status TEXT NOT NULL,
        caption TEXT,
        tags TEXT,
        image_urls TEXT,
        created REAL NOT NULL,
        submitted REAL,
        finished REAL,
        queries INTEGER NOT NULL DEFAULT 0,
        attempts INTEGER NOT NULL DEFAULT 0,
        backend TEXT NOT NULL,
        base_url TEXT,
        engine TEXT,
        error TEXT,
        data TEXT
    );
    CREATE INDEX tasks_created ON tasks (created);
    CREATE INDEX tasks_status ON tasks (status, created);
    CREATE INDEX tasks_operation ON tasks (operation, model, created);
    CREATE TABLE thumbnails (
        image TEXT PRIMARY KEY,
        jpeg BLOB NOT NULL,
        width INTEGER NOT NULL,
        height INTEGER NOT NULL,
        original_width INTEGER NOT NULL,
        original_height INTEGER NOT NULL,
        created REAL NOT NULL
    );
    """,
    """
    CREATE TABLE edits (
        edit_id INTEGER PRIMARY KEY,
        image TEXT NOT NULL,
        caption TEXT NOT NULL,
        tags TEXT,
        origin TEXT NOT NULL,
        kind TEXT NOT NULL,
        source TEXT NOT NULL,
        replaces INTEGER,
        created REAL NOT NULL,
        undone REAL
    );
    CREATE INDEX edits_image ON edits (image, undone, edit_id);
    """,
    # request: the cache key, a hash of the call and the backend. body: the request's JSON, until it
    # is known to have arrived. owner: the session that sends it. pending: age at the last poll that
    # found the task running. seconds: age when its end was seen. Ages are in seconds since the
    # submission, by a monotonic clock.
    f"""
    ALTER TABLE tasks ADD COLUMN request TEXT;
    ALTER TABLE tasks ADD COLUMN body TEXT;
    ALTER TABLE tasks ADD COLUMN owner TEXT;
    ALTER TABLE tasks ADD COLUMN pending REAL;
    ALTER TABLE tasks ADD COLUMN seconds REAL;
    CREATE INDEX tasks_request ON tasks (request) WHERE request IS NOT NULL;
    CREATE INDEX tasks_server ON tasks (server_id) WHERE server_id <> '';
    CREATE TABLE events (
        event_id INTEGER PRIMARY KEY,
        task_id TEXT NOT NULL,
        at REAL NOT NULL,
        state TEXT NOT NULL,
        detail TEXT
    );
    CREATE INDEX events_task ON events (task_id);
    CREATE TRIGGER task_written AFTER INSERT ON tasks WHEN NEW.status = 'created'
    BEGIN {_EVENT} END;
    CREATE TRIGGER task_changed AFTER UPDATE OF status ON tasks WHEN OLD.status <> NEW.status
    BEGIN {_EVENT} END;
    DROP INDEX tasks_status;
    DROP INDEX tasks_operation;
    CREATE INDEX tasks_kind ON tasks ({KIND}, created);
    CREATE TABLE inbox (
        inbox_id INTEGER PRIMARY KEY,
        task_id TEXT NOT NULL,
        received REAL NOT NULL,
        body TEXT NOT NULL,
        taken REAL
    );
    CREATE INDEX inbox_new ON inbox (inbox_id) WHERE taken IS NULL;
    CREATE TABLE pictures (
        url TEXT PRIMARY KEY,
        version TEXT NOT NULL,
        checked REAL NOT NULL
    );
    CREATE TABLE limits (
        name TEXT PRIMARY KEY,
        peak REAL,
        age REAL NOT NULL,
        free REAL NOT NULL,
        closed_until REAL NOT NULL,
        refused REAL NOT NULL,
        sent REAL NOT NULL,
        written REAL NOT NULL,
        sure REAL NOT NULL DEFAULT 1
    );
    """,
    "CREATE INDEX inbox_task ON inbox (task_id);",
    # image: which image it is, by content (`images/identity.py`). It is null in the rows that
    # earlier versions write; those images are known by name only. written_files: the SHA-256 of
    # each file that we wrote, so that a file that was edited since counts as the user's.
    # fresh_runs: when a batch that asks everything again began, until it has ended.
    """
    ALTER TABLE tasks ADD COLUMN picture TEXT;
    CREATE INDEX tasks_picture ON tasks (picture) WHERE picture IS NOT NULL;
    CREATE INDEX tasks_unidentified ON tasks (operation)
        WHERE picture IS NULL AND image IS NOT NULL AND request IS NOT NULL;
    ALTER TABLE edits ADD COLUMN picture TEXT;
    CREATE INDEX edits_picture ON edits (coalesce(picture, 'name ' || image), undone, edit_id);
    CREATE TABLE written_files (
        path TEXT NOT NULL,
        sha256 TEXT NOT NULL,
        written REAL NOT NULL,
        PRIMARY KEY (path, sha256)
    ) WITHOUT ROWID;
    CREATE TABLE fresh_runs (
        run TEXT PRIMARY KEY,
        begun REAL NOT NULL
    );
    """,
    # imported: null for the tasks of this history (and for imports of earlier versions, which left
    # no mark); "trusted" or "untrusted" for those of an exported file. Untrusted ones are shown,
    # and decide nothing: anybody can write such a file.
    """
    ALTER TABLE tasks ADD COLUMN imported TEXT;
    CREATE INDEX tasks_untrusted ON tasks (image) WHERE imported = 'untrusted';
    """,
    # steps: what was done to a dataset, each to be undone; rule is JSON, for those that can be
    # applied again. verdicts: whether an image of a dataset is kept; those of undone steps do not
    # count. text_files: the content of each caption file when it was last read or written.
    # changed_files: the journal of files that a step wrote; before and after are SHA-256 ("link
    # TARGET" for a link, "folder" for a folder that was made), null where there was no file; backup
    # is the name of the old content in the home folder, ours whether that was written by us.
    """
    ALTER TABLE edits ADD COLUMN step INTEGER;
    CREATE INDEX edits_step ON edits (step) WHERE step IS NOT NULL;
    CREATE TABLE steps (
        step_id INTEGER PRIMARY KEY,
        dataset TEXT NOT NULL,
        name TEXT NOT NULL,
        rule TEXT,
        created REAL NOT NULL,
        undone REAL
    );
    CREATE INDEX steps_dataset ON steps (dataset, step_id);
    CREATE TABLE verdicts (
        verdict_id INTEGER PRIMARY KEY,
        dataset TEXT NOT NULL,
        picture TEXT NOT NULL,
        rejected INTEGER NOT NULL,
        note TEXT,
        step INTEGER NOT NULL
    );
    CREATE INDEX verdicts_picture ON verdicts (dataset, picture, verdict_id);
    CREATE TABLE text_files (
        path TEXT PRIMARY KEY,
        picture TEXT NOT NULL,
        sha256 TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE changed_files (
        change_id INTEGER PRIMARY KEY,
        step INTEGER NOT NULL,
        path TEXT NOT NULL,
        before TEXT,
        after TEXT,
        backup TEXT,
        ours INTEGER NOT NULL DEFAULT 0,
        mode INTEGER,
        modified INTEGER
    );
    CREATE INDEX changed_files_step ON changed_files (step);
    """,
)


# The condition on a row that may decide anything: what is cached, how long a task takes ...
UNTRUSTED = "untrusted"
TRUSTED = f"imported IS NOT '{UNTRUSTED}'"
JSON_COLUMNS = frozenset({"params", "tags", "image_urls", "data", "origin", "body", "rule"})


def connect(path: Path, timeout: float) -> sqlite3.Connection:
    """Open the file and migrate it; wait at most `timeout` seconds for locks of others."""
    db = sqlite3.connect(path, timeout=timeout, isolation_level=None, check_same_thread=False)
    deadline = time.monotonic() + timeout
    while not _in_wal_mode(db, deadline):
        time.sleep(0.02)
    db.execute("PRAGMA synchronous = NORMAL")
    migrate(db)
    return db


def _in_wal_mode(db: sqlite3.Connection, deadline: float) -> bool:
    """Try to set WAL mode; if several kernels do so at once, SQLite refuses without waiting."""
    try:
        db.execute("PRAGMA journal_mode = WAL")
    except sqlite3.OperationalError as error:
        if "locked" not in str(error) or time.monotonic() > deadline:
            raise
        return False
    return True


def migrate(db: sqlite3.Connection) -> None:
    """Bring a file to the newest schema; several kernels may do so at once.

    Raises:
        sqlite3.Error: this failed; the file stays as it was.
    """
    if db.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS):
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > len(MIGRATIONS):
            raise sqlite3.DatabaseError(f"it was written by a newer imgopen_nb (schema {version})")
        for script in MIGRATIONS[version:]:
            for statement in statements(script):
                db.execute(statement)
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise


def statements(script: str) -> list[str]:
    """Split a script into statements, because `executescript` would end the transaction."""
    found, part = [], ""
    for line in script.splitlines():
        part += line + "\n"
        if sqlite3.complete_statement(part):
            found.append(part.strip())
            part = ""
    return found
