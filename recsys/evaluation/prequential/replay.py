"""Prequential replay: in the order of time, every session (day, event) is predicted, then learned from.

    for each question   weights = forgetting.weights(visible history)
                        list    = the model's top n with these weights, used ones masked  -> ranks of relevant items
                        utility = how well each hypothesis of the forgetting ranks them
                        forgetting.observe(visible history, utility)

Dawid, *Statistical theory: the prequential approach*, 1984. The model is not retrained in between, unless by a
`Refitting` schedule.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import final

import numpy as np

from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.data.stream import QuestionSettings, Stream, events_before
from recsys.data.vocabulary import UNKNOWN
from recsys.decay.base import Forgetting, learning
from recsys.errors import ConfigError, DataError
from recsys.evaluation.prequential.checkpoint import Checkpoint, digest
from recsys.evaluation.prequential.result import Replay, question_table
from recsys.evaluation.ranking import Progress
from recsys.models.base import Recommender
from recsys.models.capabilities import as_fold_in
from recsys.models.rank_utility import rank_utilities
from recsys.types import Ints

__all__ = ["QuestionSettings", "Refitting", "Replay", "events_before", "replay"]

_PARTS = ("queries", "weights", "scoring", "judging", "observing", "refitting")


@final
@dataclass(frozen=True)
class Refitting:
    """A schedule of refitting the model during the replay.

    Attributes:
        fit: returns a model fitted on all events before a boundary: a log with the vocabularies of the whole one,
            which it may `compact()` first.
        every: distance of the boundaries start + m * every, in units of time (for logs without comparable times: events
            per user). A boundary without questions before the next is skipped.

    Raises:
        ConfigError: the distance is below 1.
    """

    fit: Callable[[Interactions], Recommender]
    every: int

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ConfigError(f"replay: refitting every {self.every}; it must be at least 1")


def replay(
    model: Recommender,
    log: Interactions,
    start: int,
    forgetting: Forgetting | None = None,
    *,
    cutoffs: Sequence[int] = (5, 10, 20),
    depth: int | None = None,
    question_settings: QuestionSettings = QuestionSettings(),
    chunk: int = 1024,
    refitting: Refitting | None = None,
    checkpoint: str | Path | None = None,
    progress: Progress | None = None,
) -> Replay:
    """Predict every session (day, event) from `start` on just before it begins, then let the forgetting learn from it.

    The visible history of a question is what lies strictly before. All events of a session are relevant and are learned
    from once, together; asked event by event, events of one user at one time share history and state. An event of an
    item that the user has used before is neither predicted nor learned from, but part of later histories; it is
    counted. An item that the model was not trained on is a miss, is not learned from, and is counted.

    The stream is cut into chunks, and a chunk into rounds: the first moment of every user, then the second ... A state
    per user is therefore exactly that of an event-by-event loop, whatever the size of the chunk; a state that all users
    share lags by at most a chunk, and learns of a session when it begins. With windows, all questions of a window use
    history and state at its beginning.

    `forgetting` sees the user numbers of `log` (so fit it on `events_before(log, start)`) and the item numbers of the
    model. An online one is reset first, and ends in its state after the last event. The utility of its hypotheses is
    that of `recsys.models.rank_utility`.

    Args:
        model: fitted on events before `start`. Its items are found in the log by their ids.
        log: the whole log. An event that a later one replaces (`Interactions.superseded`) is there until then.
        start: a time; for logs with clock "order" or "none" a number of events to skip per user.
        forgetting: gives the event weights; None: every event counts 1.
        cutoffs: list lengths of the metrics.
        depth: length of the lists; the largest cutoff when None.
        question_settings: when the question is asked, windows, equal times, how many questions.
        chunk: approximate number of questions between two checkpoints, and scored at a time.
        refitting: when the model is fitted again; never when None.
        checkpoint: a folder for ranks and state, written after each chunk; the same call resumes an interrupted one
            and gives the same result (with models whose fit is deterministic).
        progress: called with the number of questions answered and of all questions, after each chunk.

    Raises:
        CapabilityError: the model cannot fold in a history.
        ConfigError: a number is out of range, or a boundary of `refitting` falls inside a window.
        DataError: there are no questions, the model knows no item of the log, or the checkpoint is of another call.
    """
    lengths = tuple(sorted({int(k) for k in cutoffs}))
    n = depth or max(lengths, default=0)
    if not lengths or lengths[0] < 1 or n < lengths[-1]:
        raise ConfigError(f"replay: cutoffs are {list(cutoffs)} and depth {depth}; at least one, 1 <= cutoff <= depth")
    if chunk < 1:
        raise ConfigError(f"replay: chunk is {chunk}; it must be at least 1")
    every = None if refitting is None else refitting.every
    if every is not None and question_settings.window is not None and every % question_settings.window:
        # The questions of a window share one moment, and so one model.
        raise ConfigError(
            f"replay: refitting every {every}; it must be a multiple of the window ({question_settings.window})"
        )
    if forgetting is not None or model.needs_known_users:
        as_fold_in(model, "a prequential replay")
    stream = Stream.of(log.every, start, question_settings)
    epoch = stream.epochs(every)
    run = _Run(model, stream, forgetting, n, chunk)
    if run.learning is not None:
        run.learning.reset()
    folder = None if checkpoint is None else Path(checkpoint)
    options = (start, n, astuple(question_settings), chunk, every)
    call = "" if folder is None else run.describe(options)
    chunks = stream.chunks(chunk, epoch)
    done = 0 if folder is None else run.resume(Checkpoint.load(folder, call))
    current = 0
    for number, questions in enumerate(chunks[done:], start=done + 1):
        if refitting is not None and epoch[questions.start] != current:
            current = int(epoch[questions.start])
            with run.measured("refitting"):
                run.model = refitting.fit(events_before(log, start + current * refitting.every))
                run.translate()
        run.answer(questions)
        if folder is not None:
            run.checkpoint(call, number, questions.stop).save(folder)
        if progress is not None:
            progress(questions.stop, len(stream))
    trained_until = start + epoch * (every or 0)
    table = question_table(stream, run.rank, run.known, trained_until, lengths)
    state_bytes = 0.0 if run.learning is None else run.learning.state_bytes()
    return Replay(table, lengths, stream.repeats, run.seconds, float(state_bytes), stream.ask, stream.pause)


@final
class _Run:
    """The state of a replay: the current model, the ranks so far, the time used."""

    def __init__(
        self, model: Recommender, stream: Stream, forgetting: Forgetting | None, depth: int, chunk: int
    ) -> None:
        self.model, self.stream, self.forgetting, self.learning = model, stream, forgetting, learning(forgetting)
        self.depth, self.chunk = depth, chunk
        self.rank = np.zeros(len(stream.relevant.items), np.int32)
        self.known = np.zeros(len(stream.relevant.items), np.bool_)
        self.seconds = dict.fromkeys(_PARTS, 0.0)
        self.translate()

    def translate(self) -> None:
        """Look up the model's numbers of the log's users and items."""
        fitted, log = self.model.fitted_on, self.stream.log
        self._numbers = fitted.translation(log)
        self._items = self._numbers.items
        if not np.any(self._items != UNKNOWN):
            raise DataError(
                f"{type(self.model).__name__} was fitted on {fitted.dataset!r} and knows none of the {log.n_items} "
                f"items of {log.name!r}; fit it on events_before(log, start)"
            )
        trained = np.append(fitted.item_counts > 0, False)[self._items]  # UNKNOWN (-1) points at the end
        self._trained = np.where(trained, self._items, UNKNOWN).astype(np.int32)

    @contextmanager
    def measured(self, part: str) -> Iterator[None]:
        """Add the time of a block to a part of `seconds`."""
        begin = time.perf_counter()
        yield
        self.seconds[part] += time.perf_counter() - begin

    def answer(self, questions: slice) -> None:
        """Rank the items of a chunk of questions, and let the forgetting learn from them."""
        answers = slice(*self.stream.relevant.indptr[[questions.start, questions.stop]])
        self.known[answers] = self._trained[self.stream.relevant.items[answers]] != UNKNOWN
        if self.learning is None:
            for rows in self.stream.batches(np.arange(questions.start, questions.stop), self.chunk):
                self._rank(rows, self._queries(rows))
            return
        for turn in self.stream.rounds(questions):
            utilities = []
            for rows in self.stream.batches(turn, self.chunk):
                queries, items = self._queries(rows), self.stream.answers(rows, self._trained)
                self._rank(rows, queries)
                known = np.flatnonzero(items.lengths)
                if len(known):
                    with self.measured("judging"):
                        if len(known) < len(rows):
                            queries, items = queries.take(known), items.take(known)
                        hypotheses = self.learning.hypotheses(queries)
                        utility = rank_utilities(self.model, self._numbers.with_users(queries), items, hypotheses)
                    utilities.append((rows[known], utility))
            # Only now: all questions of a round use the state at its beginning.
            for rows, utility in utilities:
                queries = self._queries(rows)
                with self.measured("observing"):
                    self.learning.observe(queries, utility)

    def describe(self, options: tuple[object, ...]) -> str:
        """Return a digest of what decides the result; of a forgetting, its state and some of its weights."""
        fitted, forgetting = self.model.fitted_on, self.forgetting
        arrays = {} if self.learning is None else dict(self.learning.state())
        if forgetting is not None:
            some = np.unique(np.linspace(0, len(self.stream) - 1, 64).astype(np.int64))
            arrays["weights of some questions"] = forgetting.weights(self._queries(some))
        facts = {
            "log": self.stream.log.fingerprint,
            "model": (type(self.model).__name__, fitted.fingerprint, self.model.parameters_of_constructor()),
            "forgetting": type(forgetting).__name__,
            "options": options,
        }
        return digest(facts, arrays)

    def resume(self, checkpoint: Checkpoint | None) -> int:
        """Restore a checkpoint, and return the number of chunks that are done."""
        if checkpoint is None:
            return 0
        done = len(checkpoint.rank)  # relevant items
        self.rank[:done], self.known[:done] = checkpoint.rank, checkpoint.known
        self.seconds |= checkpoint.seconds
        if self.learning is not None:
            self.learning.restore(checkpoint.state)
        return checkpoint.chunks

    def checkpoint(self, call: str, chunks: int, questions: int) -> Checkpoint:
        """Return the checkpoint after some chunks."""
        state = {} if self.learning is None else self.learning.state()
        done = int(self.stream.relevant.indptr[questions])
        return Checkpoint(call, chunks, self.rank[:done], self.known[:done], self.seconds, state)

    def _queries(self, rows: Ints) -> Queries:
        with self.measured("queries"):
            return self.stream.queries(rows, self._items)

    def _rank(self, rows: Ints, queries: Queries) -> None:
        """Rank the items, and look the relevant ones up in the list."""
        weighted = self._numbers.with_users(queries)
        if self.forgetting is not None:
            with self.measured("weights"):
                weighted = weighted.with_weights(self.forgetting.weights(queries))
        with self.measured("scoring"):
            top = self.model.recommend(weighted, self.depth).items
        relevant = self.stream.relevant
        answers, row = relevant.positions(rows), np.repeat(np.arange(len(rows)), relevant.lengths[rows])
        hit = (top[row] == self._trained[relevant.items[answers]][:, None]) & self.known[answers][:, None]
        self.rank[answers] = np.where(hit.any(1), hit.argmax(1) + 1, 0)
