"""A dataset: images with their captions, for trainers to read.

Captions, verdicts and the steps that made them are in the history's file, so they are there
tomorrow, and every step can be taken back. The files beside the images change only by `write`.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from hashlib import sha256
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..batch.batch import Batch
from ..batch.plan import Plan
from ..batch.rows import Limits
from ..batch.sources import source_of
from ..batch.tables.table import missing
from ..captions.descriptions import OPERATION, Row, group
from ..captions.edits import MOST_TEXT, RULE, Draft, Edits, Held, drafted, merged
from ..captions.parts import key, split
from ..captions.tag_merge import MAJORITY, MERGES, SENTENCE_AND_TAGS
from ..catalogue.operations import OPERATIONS
from ..catalogue.values import scalar
from ..config.credentials import NotPickled
from ..database.written_files import key_of
from ..display.parts import Bundle
from ..errors import PictureError, UnknownNameError, UsageError
from ..files import path_of
from ..history.json_values import without_collections
from ..images.cache import SMALL
from ..images.thumbnail import Thumbnail
from ..media.stores import as_address, is_store
from ..tasks.manager import TaskManager
from ..tasks.task import Task, time_limit
from ..text import clip, counted, in_words, near_match, short_path, spelled, valid
from .audit import Audit
from .cards import Card, next_steps
from .checks import check_captions, check_files, check_pictures, frame_of
from .choices import captions_given, chosen
from .entry import Entry, common_folder
from .hints import keep_hint
from .imports import take_in
from .metadata_files import told_by
from .rules import Rule, beside, had, rules_of, tags_given, tags_named, toml
from .selection import HasPictures, described_in_history, select
from .steps import Change, Done, Steps
from .tags import Rewriting, Tags, rewriting
from .training import TrainingPlan, name_of, plan_training, train
from .writer import FilePlan, Writer, Written

if TYPE_CHECKING:
    import pandas as pd

MODELS = ("clip", "deepdanbooru")
EDITED, MERGED = "edited", "merged"
_AGAIN = "again"  # in a step's rule: the rule is in an earlier step too


class Dataset(NotPickled, HasPictures):
    """Images with captions; created by `imgopen.dataset`.

    Args:
        manager: the parts of the session.
        source: a folder, a glob, a list, a frame, a batch: see `datasets/selection.py`.
        name: the name under which its steps are kept; by default the folder of the images.

    Attributes:
        name: its name.
        notes: what you should know, such as which images cannot be read.

    Raises:
        UsageError: there are no images.

    Example:
        >>> ds = imgopen.dataset("photos")
        >>> ds.describe()
        >>> ds.merge()
        >>> ds.write(trainer="kohya")
    """

    # So that no misspelt `ds.captions = ...` is taken, and lost, without a word.
    __slots__ = (
        "__weakref__", "_edits", "_file_notes", "_manager", "_rows", "_steps", "_writer",
        "name", "notes",
    )  # fmt: skip
    instead = "it belongs to its session; use ds.frame"

    def __init__(self, manager: TaskManager, source: Any, name: str | None = None) -> None:
        self._manager = manager
        try:
            selection = select(manager, source)
        except UsageError:
            if source is not None:
                raise
            hint = spelled('imgopen.dataset("photos")', "%imgopen dataset photos")
            raise UsageError("no images: give a folder", hint=hint) from None
        self._rows, _ = group(selection.described, selection.rows)
        self.notes = [note for note in selection.notes if note]
        folder = _folder_of(source, self._rows)
        self.name = key_of(name or folder or _name_of(self._rows))
        if not name and not folder:
            self.notes.append(
                'the images share no folder: set name="..." so that steps and rejected images '
                "are found again after the list changes"
            )
        self._edits = Edits(manager.database)
        self._steps = Steps(manager.database, self.name)
        self._writer = Writer(manager, self._steps)
        # A store that only an imported history names is not asked with this user's access.
        imported = manager.table.only_imported
        entries = [
            Entry(at, row.image, row.picture)
            for at, row in enumerate(self._rows)
            if not is_store(row.image) or not imported(row.image, row.picture)
        ]
        root = Path(folder) if folder and not is_store(folder) else None
        rows = {entry.at: entry for entry in entries}
        told = told_by(selection.table, source, rows) if selection.table else []
        imports = take_in(entries, self._steps, self._edits, manager.files, root, told)
        self.notes += imports.notes
        self._file_notes = imports.by_image

    # What it holds.

    @property
    def entries(self) -> list[Entry]:
        """The images, as they are in the history now."""
        held = self._edits.held(row.picture for row in self._rows)
        verdicts, bare = self._steps.verdicts(), Held(0, "", "")
        found = []
        for at, row in enumerate(self._rows):
            edit_id, caption, kind = held.get(row.picture, bare)
            verdict, note = verdicts.get(row.picture), self._file_notes.get(row.image, "")
            if verdict and verdict.note:
                note = "; ".join(filter(None, (verdict.note, note)))
            rejected = verdict is not None and verdict.rejected
            found.append(
                Entry(
                    at, row.image, row.picture, caption, kind, edit_id or None, row.descriptions,
                    rejected, note, row.trouble,
                )
            )  # fmt: skip
        return found

    @property
    def kept(self) -> list[Entry]:
        """The images that are not rejected and can be read."""
        return [entry for entry in self.entries if entry.kept]

    @property
    def picture_rows(self) -> list[Row]:
        """The kept images, as boards and galleries show them."""
        return [self._rows[entry.at] for entry in self.kept]

    @property
    def models(self) -> list[str]:
        """The models that described at least one of the images."""
        return sorted({model for row in self._rows for model in row.descriptions})

    @property
    def frame(self) -> pd.DataFrame:
        """One row for each image: caption, tags, origin, each model's description, kept, note."""
        import pandas as pd

        entries = self.entries
        columns: dict[str, Any] = {
            "image": pd.array([valid(e.image) for e in entries], dtype="string"),
            "caption": pd.array([e.caption or None for e in entries], dtype="string"),
            "tags": pd.Series([list(split(e.caption).tags) for e in entries], dtype=object),
            "origin": pd.array([e.origin or None for e in entries], dtype="string"),
        }
        for model in self.models:
            said = [e.said[model].text if model in e.said else None for e in entries]
            columns[model] = pd.array([text or None for text in said], dtype="string")
        columns["kept"] = [entry.kept for entry in entries]
        notes = [e.trouble or e.note or None for e in entries]
        columns["note"] = pd.array(notes, dtype="string")
        columns["picture"] = pd.array([e.picture or None for e in entries], dtype="string")
        return pd.DataFrame(columns)

    @property
    def caption(self) -> pd.Series[Any]:
        """The captions; assigning a Series, a dict by name or a function is one step."""
        return self.frame["caption"]

    @caption.setter
    def caption(self, value: Any) -> None:
        texts = captions_given(self.entries, value)
        self.rewrite("captions by hand", lambda entry: texts.get(entry.at), kind=EDITED)

    # What changes it.

    def describe(
        self,
        models: Sequence[str] = MODELS,
        *,
        concurrency: int = 16,
        timeout: float | None = None,
        most: int | None = None,
        fresh: bool = False,
        dry_run: bool = False,
        progress: bool = True,
    ) -> Batch | Plan:
        """Describe the kept images; results of earlier calls come from the cache.

        Args:
            models: the models to ask.
            concurrency: how many tasks run at a time.
            timeout: seconds for each image; by default the session's setting.
            most: how many tasks may be sent at most.
            fresh: ignore cached results.
            dry_run: send nothing and return the plan.
            progress: whether to show a progress bar.

        Raises:
            UsageError: there are no kept images; nothing was sent.
            TaskInterrupted: Ctrl-C was pressed.
        """
        images = [entry.image for entry in self.kept]
        if not images:
            raise UsageError("there are no kept images: nothing was sent", hint=keep_hint())
        limits = Limits(concurrency, timeout, most, fresh or self._manager.settings.cache == "off")
        names = _models(models)
        batch = Batch(
            self._manager, OPERATIONS[OPERATION], source_of(images), {"model": names}, limits
        )
        if dry_run:
            return batch.plan()
        try:
            return batch.run(progress)
        finally:
            self._read_descriptions()

    def rewrite(
        self,
        name: str,
        change: Callable[[Entry], str | Draft | None],
        *,
        where: Any = None,
        kind: str = RULE,
        rule: Mapping[str, Any] | None = None,
    ) -> Done:
        """Change captions as one step.

        Args:
            name: the step, in words.
            change: returns the new caption of an image; None, or the same, leaves it.
            where: which images, as for `reject`; by default the kept ones.
            kind: where the captions come from.
            rule: the rule as data, so that it can be applied again.
        """
        return self._rewrite([(name, lambda entry, _: change(entry), rule)], where, kind)[0]

    def _rewrite(
        self,
        steps: Sequence[tuple[str, Rewriting, Mapping[str, Any] | None]],
        where: Any,
        kind: str,
        doubtful: Collection[int] = (),
    ) -> list[Done]:
        """Change captions by several steps, all or none.

        Args:
            steps: name, function and rule of each; the functions take an image and its caption
                after the steps before.
            where: which images.
            kind: where the captions come from.
            doubtful: the places of those that are only kept if they change something.
        """
        changes: list[list[Change]] = [[] for _ in steps]
        left: list[Counter[str]] = [Counter() for _ in steps]
        seen: set[str] = set()
        bare = 0
        entries = self.kept if where is None else self.chosen(where)
        done_before = self._had([change for _, change, _ in steps], entries) if kind == RULE else {}
        for entry in entries:
            if not entry.picture or entry.picture in seen:
                continue
            now, first = entry.caption, done_before.get(entry.picture, 0)
            for at, (_, change, _) in enumerate(steps[first:], first):
                new = change(entry, now)
                if isinstance(new, str):
                    if new == now:
                        continue
                    trouble = "" if new.strip() else "empty"
                    if trouble or len(new) > MOST_TEXT:
                        left[at][trouble or "too long"] += bool(now)
                        continue
                    new = drafted(new, kind, {})
                elif not isinstance(new, Draft):
                    if not missing(new):
                        raise UsageError(f"{in_words(new)} is not a caption: nothing was changed")
                    continue
                if new.caption == now:
                    continue
                changes[at].append(Change(entry.image, entry.picture, new, entry.edit_id))
                now = new.caption
                seen.add(entry.picture)
            bare += not now
        told, known = [], self.rules
        for at, (name, _, rule) in enumerate(steps):
            new_rule = rule is not None and not rule.get(_AGAIN) and rule not in known
            new_rule &= at not in doubtful
            if changes[at] or new_rule:  # what changes nothing today may do so tomorrow
                told.append((at, name, changes[at], rule))
        saved = dict.fromkeys(range(len(steps)), 0)
        if told:
            numbers = self._steps.caption_all(each[1:] for each in told)
            saved |= {each[0]: n for each, n in zip(told, numbers, strict=True)}
        done = []
        for at, (name, _, _) in enumerate(steps):
            late = len(changes[at]) - saved[at]
            notes = [
                f"{counted(n, 'caption')} would become {what} and stayed as they are"
                for what, n in left[at].items() if n
            ]  # fmt: skip
            notes += [
                f"{counted(late, 'caption')} changed elsewhere in the meantime and stayed"
            ] * bool(late)
            if bare and kind == RULE:
                notes.append(f"{counted(bare, 'image')} without a caption left without one")
            done.append(Done(name, saved[at], tuple(notes)))
        return done

    def _had(self, changes: Sequence[Rewriting], entries: Sequence[Entry]) -> dict[str, int]:
        """Return how many of several rules each caption has had, by image; 0 is left out."""
        if len(changes) < 2:  # one rule applied again changes nothing
            return {}

        def rules_for(entry: Entry) -> list[Callable[[str], str]]:
            return [functools.partial(_after, change, entry) for change in changes]

        open_ones = {
            entry.picture: entry
            for entry in entries
            if entry.picture
            and entry.origin == RULE
            and functools.reduce(lambda text, rule: rule(text), rules_for(entry), entry.caption)
            != entry.caption
        }
        earlier = self._edits.earlier(open_ones)
        found = {
            picture: had(rules_for(entry), entry.caption, earlier.get(picture, ()))
            for picture, entry in open_ones.items()
        }
        return {picture: number for picture, number in found.items() if number}

    # Merging, and rules on tags.

    def merge(
        self,
        how: str = SENTENCE_AND_TAGS,
        *,
        threshold: float = MAJORITY,
        min_score: float = 0.0,
        blacklist: str | os.PathLike[str] | Sequence[str] = (),
        models: Sequence[str] | None = None,
        where: Any = None,
        replace: bool = False,
    ) -> Done:
        """Merge the models' descriptions into captions, as one step; existing captions stay.

        Args:
            how: "sentence + tags" keeps the whole sentence and adds the tags that it does not
                mention; or "tags only", "sentence only", "union", "intersection", "subtraction",
                "vote".
            threshold: for a vote: keep the tags of more than this share of the models.
            min_score: tags with a lower score are left out; those without a score stay.
            blacklist: tags to leave out, or the path of a file with one tag on each line; "*"
                matches any characters.
            models: which models to use, in this order; by default all.
            where: which images, as for `reject`; by default the kept ones.
            replace: whether to replace existing captions.

        Raises:
            UsageError: there is no such way to merge or model, or a number is out of range.
            FileError: the file cannot be read.

        Example:
            >>> ds.merge(min_score=0.6, blacklist=["rating:*"])
        """
        if not isinstance(how, str) or how not in MERGES:
            raise UnknownNameError("merge", str(how), MERGES)
        threshold, min_score = scalar(threshold), scalar(min_score)
        if not (_is_number(threshold) and 0 <= threshold < 1 and _is_number(min_score)):
            said = (
                "threshold must be at least 0 and less than 1, and min_score a number, not "
                f"{threshold!r} and {min_score!r}"
            )
            raise UsageError(said, hint="a threshold of 0.5 is a majority; scores go from 0 to 1")
        names = None if models is None else _models(models)
        for name in names or ():
            if name not in self.models:
                raise UnknownNameError("model of these images called", name, self.models)
        unwanted = tags_given(blacklist)
        asked = len(names or self.models)
        counts: Counter[str] = Counter()
        replaces = spelled("replace=True", "--replace")
        kept = f"already had a caption; {replaces} replaces it"

        def change(entry: Entry) -> Draft | None:
            said = [m for m in names or entry.said if m in entry.said and entry.said[m].answered]
            if entry.caption and not replace:
                counts[kept] += 1
            elif not said:
                counts["not described yet"] += 1
            else:
                try:
                    draft = merged(
                        self._rows[entry.at], how, threshold,
                        min_score=min_score, blacklist=unwanted, models=said, least=1,
                    )  # fmt: skip
                except UsageError:
                    counts[f"without a caption, because the {how} is empty"] += 1
                    return None
                counts["described by only some of the models"] += len(said) < asked
                return draft
            return None

        done = self.rewrite(f"merge {how}", change, where=where, kind=MERGED)
        notes = [f"{counted(n, 'image')} {what}" for what, n in counts.items() if n]
        if asked == 1:
            notes.append("only one model described them")
        return dataclasses.replace(done, notes=(*done.notes, *notes))

    @property
    def tags(self) -> Tags:
        """The tags, and the rules that change them: `ds.tags.add("ohwx", first=True)`."""
        return Tags(self)

    @property
    def rules(self) -> list[dict[str, Any]]:
        """The rules that were applied to all kept images and not undone, in order."""
        held = [dict(s.rule) for s in self._steps.all() if s.rule and s.undone is None]
        return [rule for rule in held if "rule" in rule and not rule.get(_AGAIN)]

    def save_rules(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write `rules` to a file; `apply` applies it to other images.

        Args:
            path: the file, such as "rules.toml".
            overwrite: whether to replace a file of yours.

        Raises:
            UsageError: there is no rule, or a file of yours is there; nothing was written.
            FileError: the file cannot be written.
        """
        file, rules = path_of(path), self.rules
        if not rules:
            raise UsageError(
                "no rule was applied yet",
                hint=spelled('ds.tags.add("ohwx", first=True)', "--first ohwx"),
            )
        self._manager.files.write({file: toml(rules, file)}, overwrite=overwrite)
        return file

    def apply(self, rules: Any, *, where: Any = None) -> list[Done]:
        """Apply rules in order, each as one step.

        Args:
            rules: the path of a file that `save_rules` wrote, or a list such as `rules`.
            where: which images, as for `reject`; by default the kept ones.

        Raises:
            UsageError: a rule is not valid; nothing was changed. The message names it.
            FileError: the file cannot be read.

        Example:
            >>> ds.apply("rules.toml")
            >>> ds.apply([{"rule": "add", "tag": "ohwx", "first": True}, {"rule": "dedupe"}])
        """
        return self.apply_rules(rules_of(rules), where, again=True)

    @without_collections()
    def apply_rules(
        self, rules: Sequence[Rule], where: Any = None, *, again: bool = False
    ) -> list[Done]:
        """Apply rules, each as one step, all or none.

        Args:
            rules: the rules.
            where: which images; if given, the rules do not belong to `rules`.
            again: whether rules that belong to `rules` already do so once only; if not, those
                that were applied last do.
        """
        given, known = [dict(rule.data) for rule in rules], self.rules
        others = [*known, *given]
        if not again and known[-len(given) :] != given:
            known = []
        steps = []
        for rule, data in zip(rules, given, strict=True):
            kept = {**data, **({_AGAIN: True} if data in known else {})}
            change = rewriting(beside(rule, others))
            steps.append((rule.step, change, kept if where is None else None))
        unknown = {} if again else self._unknown(rules, where)
        doubtful = [at for at, (_, every) in unknown.items() if every]
        done = self._rewrite(steps, where, RULE, doubtful)
        for at, (note, _) in unknown.items():
            if len(rules) == 1 or not done[at].changed:
                done[at] = dataclasses.replace(done[at], notes=(note, *done[at].notes))
        return done

    def _unknown(self, rules: Sequence[Rule], where: Any) -> dict[int, tuple[str, bool]]:
        """Return what to say of rules that name tags which no caption has, and if it is all."""
        named = {at: tags for at, rule in enumerate(rules) if (tags := tags_named(rule))}
        if not named:
            return {}
        entries = self.kept if where is None else self.chosen(where)
        used = {key(tag): tag for entry in entries for tag in split(entry.caption).tags}
        found = {}
        for at, tags in named.items():
            missing_ones = [tag for tag in tags if key(tag) not in used]
            if missing_ones:
                every = len(missing_ones) == len(tags)
                listed = ", ".join(f'"{clip(tag, 60)}"' for tag in missing_ones[:3])
                near = near_match(missing_ones[0], used.values())
                said = f"no caption has the tag{'s' * (len(missing_ones) > 1)} {listed}"
                found[at] = ("; ".join(filter(None, (said, near.rstrip(".")))), every)
        return found

    def reject(self, where: Any, note: str = "") -> Done:
        """Leave images out of the dataset, until `keep` brings them back.

        Args:
            where: a mask as long as `frame`, names of images, their places, or a function of
                the frame that returns a mask.
            note: why.

        Raises:
            UsageError: the mask does not fit, or there is no such image.

        Example:
            >>> ds.reject(ds.frame.caption.str.contains("blurry"), note="blurry")
            >>> ds.reject(["cat.png", "dog*.png"])
        """
        return self._judge("reject", where, rejected=True, note=note)

    def keep(self, where: Any) -> Done:
        """Bring rejected images back; `where` is as for `reject`."""
        return self._judge("keep", where, rejected=False)

    # What is wrong with it.

    def check(
        self,
        trainer: str | None = None,
        trigger: str | None = None,
        limit: int | None = None,
        *,
        pictures: bool = True,
    ) -> pd.DataFrame:
        """Return what would go wrong in training, one row for each finding; none if all is well.

        Captions, the files beside images and the images themselves are checked; rejected
        images are not. Nothing is changed.

        Args:
            trainer: which trainer will read the dataset, as for `write`; `effect` says what it
                would do.
            trigger: the trigger word that all captions should start with.
            limit: the CLIP token limit for a caption; by default 75, 150 and 225 are all checked.
                Tokens are counted exactly if `tokenizers` and CLIP's vocabulary are on this machine
                (the setting `clip`, or the cache of Hugging Face), and estimated otherwise.
            pictures: whether to check the images too: broken files, sizes, near-duplicates.

        Returns:
            A frame with image, finding, severity ("error", "warning", "note"), detail, effect.

        Raises:
            UsageError: the trigger or the limit is not valid.
            UnknownNameError: there is no such trainer.

        Example:
            >>> found = ds.check(trainer="kohya", trigger="ohwx")
            >>> found[found.severity == "error"]
        """
        limit = scalar(limit)
        if limit is not None and (type(limit) is not int or limit < 1):
            raise UsageError(
                f"{in_words(limit)} is not a number of tokens", hint="use 75, 150 or 225"
            )
        entries = [entry for entry in self.entries if not entry.rejected]
        readable = [entry for entry in entries if not entry.trouble]
        found = [*check_captions(readable, trigger, limit), *check_files(readable, trainer)]
        if pictures:
            found += check_pictures(entries, self._thumbnail)
        return frame_of(found, trainer)

    def audit(
        self,
        trigger: str,
        class_word: str | Iterable[str] | None = None,
        intended: str | Iterable[str] = (),
    ) -> Audit:
        """Return which words cling to the trigger word, and whether the images show them.

        Args:
            trigger: the trigger word.
            class_word: what the trigger is a kind of, such as "woman"; it may be in all captions.
            intended: words that are meant to belong to the trigger.

        Raises:
            UsageError: the trigger is not a word, or no kept image has a caption.

        Example:
            >>> audit = ds.audit(trigger="ohwx", class_word="woman", intended=["red hair"])
            >>> imgopen.gallery(audit.pictures("red scarf", "unseen"))
        """
        return Audit(self.kept, trigger, class_word, intended)

    def _jpeg(self, entry: Entry) -> bytes | None:
        try:
            found = self._thumbnail(entry) if entry.picture else None
        except PictureError:
            return None
        return found.jpeg if found else None

    def _thumbnail(self, entry: Entry) -> Thumbnail | None:
        """Return an image's thumbnail; one at an address only if it was made before."""
        if entry.image.lower().startswith(("http://", "https://")):
            return self._manager.thumbnails.stored(entry.picture)
        return self._manager.home.thumbnail(entry.image, SMALL, picture=entry.picture, trusted=True)

    # The service's own training.

    def train(
        self,
        name: str = "",
        *,
        where: Any = None,
        timeout: float | None = None,
        dry_run: bool = False,
        **params: Any,
    ) -> Task | TrainingPlan:
        """Train on the kept images (10 to 100) with the service; captions are not sent.

        Local images are uploaded to the sandbox. The real service fetches them through the setting
        `pictures`, or from the notebook server if it can reach that.

        Args:
            name: a name for the training, by default that of the folder. It is only kept in the
                history; the service takes no name.
            where: which of the kept images, as for `reject`; by default all.
            timeout: seconds until the service must accept it; by default there is no limit.
            dry_run: send nothing and return the plan.
            **params: the other parameters of `train`, such as `epochs`.

        Raises:
            UsageError: there are too few images or too many, or a parameter does not fit;
                nothing was sent.
            PictureError: an image cannot be read, or the service could not fetch it.

        Example:
            >>> task = ds.train(name="ohwx", epochs=20)
            >>> task.result().data["modelName"]
            >>> session.map("text2image", ds.caption.dropna())  # captions as prompts
        """
        entries = self.kept if where is None else [e for e in self.chosen(where) if e.kept]
        name = name_of(name, self.name)
        limit = None if timeout is None else time_limit(timeout, timeout)
        if dry_run:
            return plan_training(self._manager, entries, name, params)
        return train(self._manager, entries, name, params, limit)

    @property
    def steps(self) -> pd.DataFrame:
        """The steps so far, oldest first, including those that were undone."""
        import pandas as pd

        rows = [
            (s.step_id, s.name, s.captions, s.verdicts, s.files,
             pd.Timestamp(s.created, unit="s", tz="UTC"), s.undone is not None)
            for s in self._steps.all()
        ]  # fmt: skip
        names = ("step", "name", "captions", "verdicts", "files", "created", "undone")
        return pd.DataFrame(rows, columns=list(names)).set_index("step")

    @property
    def is_written(self) -> bool:
        """Whether its folder is one that another dataset was written into."""
        return self._steps.written_into()

    def undo(self) -> str | None:
        """Undo the last step, and return its name; None if there is none.

        If the step wrote files, each is restored byte by byte, and new ones are removed. A file
        that was changed since stays as it is; the returned text says so after the name.

        Raises:
            FileError: a file cannot be restored; the same call continues where this one stopped.
        """
        step = self._steps.last()
        if step is None:
            return None
        left = self._writer.undo(step.step_id) if step.files else []
        self._steps.undo(step)
        if not left:
            self._writer.clean(step.step_id)
            return step.name
        names = ", ".join(left[:3]) + (f" and {len(left) - 3:,} more" if len(left) > 3 else "")
        what = (
            "was changed since and stays as it is"
            if len(left) == 1
            else "were changed since and stay as they are"
        )
        return f"{step.name}; {names} {what}"

    # Its files.

    def preview(
        self,
        folder: Any = None,
        trainer: str = "kohya",
        images: str = "stay",
        *,
        overwrite: bool = False,
    ) -> pd.DataFrame:
        """Return what `write` would do to each file; nothing is written.

        Takes the arguments of `write`, and raises the same errors.

        Returns:
            One row for each file: file, action ("new", "same", "changed", "left", "removed"), and
            its text before and after. `attrs` has the notes and the command line.
        """
        import pandas as pd

        with self._plan(folder, trainer, images, overwrite) as plan:
            rows = [(valid(d.file), d.action, d.before, d.after) for d in plan.diffs]
        frame = pd.DataFrame(rows, columns=["file", "action", "before", "after"], dtype="string")
        frame.attrs = {"notes": list(plan.notes), "command": plan.command}
        return frame

    def write(
        self,
        folder: Any = None,
        trainer: str = "kohya",
        images: str = "stay",
        *,
        overwrite: bool = False,
    ) -> Written:
        """Write the kept images' captions in a trainer's format, as one step.

        Each caption is one line in UTF-8. Files that imgopen_nb did not write, or that were edited
        since, are left as they are. Old content is backed up, and `undo` restores it.

        Args:
            folder: where to write the files, also an address such as s3://bucket/set; by default
                beside each image.
            trainer: kohya, onetrainer, diffusers, imagefolder, ai-toolkit, simpletuner, musubi,
                llava or webdataset.
            images: "stay"; "copy" or "link" puts the images into the folder.
            overwrite: whether to replace your own files too.

        Returns:
            The files, the trainer's command line, and notes.

        Raises:
            UsageError: an image has no caption, it is not known which image it is, or the
                trainer could not read what would be written; nothing was written.
            FileError: a file cannot be written; the message says how many were.

        Example:
            >>> ds.preview("train", trainer="imagefolder", images="copy")
            >>> ds.write("train", trainer="imagefolder", images="copy")
        """
        with self._plan(folder, trainer, images, overwrite) as plan:
            return self._writer.write(plan)

    def _plan(
        self, folder: Any, trainer: str, images: str, overwrite: bool
    ) -> AbstractContextManager[FilePlan]:
        return self._writer.plan(self.entries, folder, trainer, images, overwrite=overwrite)

    def chosen(self, where: Any) -> list[Entry]:
        """Return the images that `where` selects; see `reject`.

        Raises:
            UsageError: the mask does not fit, or there is no such image.
        """
        return chosen(self.entries, where(self.frame) if callable(where) else where)

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        entries = self.entries
        captioned = sum(bool(entry.caption) for entry in entries)
        rejected = sum(entry.rejected for entry in entries)
        facts = [counted(len(entries), "image"), f"{captioned:,} with a caption"]
        if rejected:
            facts.append(f"{rejected:,} rejected")
        return f"Dataset({short_path(self.name) if self.name else 'no folder'}: {', '.join(facts)})"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Bundle:
        return self.card.bundle()

    @property
    def card(self) -> Card:
        """What a notebook shows: the images, how many are kept, and what to do next."""
        entries, last = self.entries, self._steps.last()
        written = last is not None and last.files > 0
        return Card(
            self.name,
            entries,
            self.notes,
            next_steps(self.name, entries, written=written),
            self._jpeg,
        )

    def _judge(self, verb: str, where: Any, *, rejected: bool, note: str = "") -> Done:
        found = [e for e in self.chosen(where) if e.picture and e.rejected != rejected]
        pictures = list(dict.fromkeys(entry.picture for entry in found))
        note = "" if missing(note) else valid(str(note))
        name = f"{verb} {counted(len(pictures), 'image')}" + (f" ({note})" if note else "")
        if pictures:
            self._steps.judge(name, pictures, rejected=rejected, note=note)
        return Done(name, len(pictures))

    def _read_descriptions(self) -> None:
        described = described_in_history(self._manager, [row.picture for row in self._rows])
        self._rows, _ = group(described, self._rows)


def _after(change: Rewriting, entry: Entry, caption: str) -> str:
    """Return a caption as it would be saved after a change; the same one if it cannot be saved."""
    new = change(entry, caption)
    if not isinstance(new, str) or not new.strip() or len(new) > MOST_TEXT:
        return caption
    return caption if new == caption else drafted(new, RULE, {}).caption


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and value == value


def _models(given: Any) -> list[Any]:
    if not isinstance(given, Iterable):
        raise UsageError(
            f"{in_words(given)} is not a list of models", hint=f"models={list(MODELS)}"
        )
    return [given] if isinstance(given, str) else list(given)


def _folder_of(source: Any, rows: Iterable[Row]) -> str:
    """Return the folder of a dataset; "" if its images lie in none."""
    if isinstance(source, (str, os.PathLike)):
        path = os.path.expanduser(os.fspath(source))
        if os.path.isdir(path):
            return os.path.realpath(path)
    if is_store(as_address(source)):
        return str(source).strip().rstrip("/")
    lying = [row.image for row in rows if row.picture and not row.trouble]
    if not all(map(os.path.isabs, lying)):
        return ""
    found = common_folder({os.path.dirname(image) for image in lying})
    return os.path.realpath(found) if found else ""


def _name_of(rows: Iterable[Row]) -> str:
    """Return a name for images that lie in no folder: the same images have the same one."""
    pictures = sorted({row.picture for row in rows})
    return f"images {sha256(chr(10).join(pictures).encode()).hexdigest()[:8]}"
