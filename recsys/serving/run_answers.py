"""Answers of a run to the service: a fitted model, the log it was trained on, and what has happened since.

What is known of a user is the log's events, then those of the event store in the order of the store. Nothing but the
store's order enters: whoever replays it knows the same of everybody, to the last bit.
"""

from __future__ import annotations

import logging
import math
import re
import threading
import time
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import final

import numpy as np
import numpy.typing as npt
import torch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from recsys.bundles.bundle import read_manifest
from recsys.bundles.index import Recommend, recommender_of, told_of
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries, Ragged
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import BundleError, CapabilityError, DataError
from recsys.events.addresses import PINNED, is_address, located
from recsys.events.store import Change, Corrected, Correction, Erased, EventStore, Recorded, user_hash
from recsys.experiments.runs import load_model, run_data
from recsys.explanations import UserFacts, explain_read
from recsys.explanations.activity import persona_activity
from recsys.explanations.half_life import user_half_lives
from recsys.models.base import PersonaRecommender, Recommendations, Recommender
from recsys.models.decayed.model import Decayed
from recsys.models.decayed.persona_activity import RoutesItems
from recsys.models.linear.bounded_top_n import BoundedTopN, LinearRows
from recsys.serving import answers as told
from recsys.serving.answer_records import aged, as_corrected, half_life_record, persona_record, served_records
from recsys.serving.title_search import TitleSearch
from recsys.serving.user_state import CachedList, PendingEvent, UserCache, UserHistory, UserState

_LOG = logging.getLogger(__name__)

_SHOWN = 5
"""Unknown items of a history that are named."""

_KEPT = 100_000_000
"""Bytes of what is kept of users, about."""

_ROOM = 1024
"""Users who come after training for whom room is made at a time, at least."""

_LENGTH = 10
"""Of a list that is made before it is asked for."""

_DIGITS = 7
"""Binary digits to which the time since a user's newest event is read: one part in 64 to 128 does not show."""

_LOOKED_AT = 8
"""Of so many users times those that are asked for, the ones with the longest histories are told."""


def open_answers(
    run: Path,
    store: EventStore,
    address: str,
    *,
    source: str | None = None,
    history: int = 2_000,
    exact: bool = False,
    kept: int = _KEPT,
) -> RunAnswers:
    """Return the answers of a finished run, up to date with a store.

    Torch and BLAS are left one thread: questions come one by one, their matrices are small, and threads would wait for
    each other, most of all on a machine that has other work too.

    Args:
        run: its directory.
        store: the events since.
        address: of the store. A run that was trained on this very store finds its log there.
        source: read the log from here instead of where the run read it.
        history: how many events of a user are read, the newest.
        exact: score every item, also where the run has an index.
        kept: bytes, about, of what is kept of users from one answer to the next.

    Raises:
        DataError, BundleError: there is no such run, its log is not at hand, or its times are not Unix seconds.
        ConfigError: the run has an index, and the library for it is not installed.
        StoreError: the store cannot be read.
    """
    model = load_model(run)
    data = run_data(run, source)
    pin = PINNED.search(data.source)
    own = is_address(data.source) and _place(data.source) == _place(address)
    log = None if own else data.load()
    torch.set_num_threads(1)
    threadpool_limits(1, user_api="blas")
    manifest = read_manifest(run / "model")
    fingerprint = str(manifest.files["arrays.safetensors"]["sha256"])[:16]
    trained_until = int(pin[1]) if own and pin is not None else 0
    recommend = recommender_of(run / "model", model.scoring_model, exact=exact)
    if manifest.index is not None and not exact:
        _LOG.warning("model %s recommends through an index: %s", fingerprint, told_of(manifest.index))
    return RunAnswers(
        model, fingerprint, log, store, trained_until=trained_until, history=history, recommend=recommend, kept=kept
    )


@final
class RunAnswers:
    """See `recsys.serving.answers.Answers`.

    A user's belief of a half-life (`Decayed.observe`) learns from the store's events one by one, in order of arrival,
    each time from what was known just before and is not later than the event. That is done when the user is asked for:
    beliefs of different users have nothing to do with each other, so the answer is the same as if it was done at once,
    and taking events stays fast. Users and items that the model was not trained on teach it nothing; a new user has the
    population's belief.

    A correction multiplies what a persona has to say. Where the model routes items to personas, event j counts
    w_j sum_k c_k r_jk: of linear experts that is sum_k c_k U_uk . v_i, exactly, and the evidence adds up as ever.

    Args:
        model: a fitted model of a log whose times are Unix seconds. Its beliefs change as events arrive.
        fingerprint: of the model.
        log: what was known before the store's first event; None: the store knows it all.
        store: the events since.
        trained_until: with `log` None, the last change of the store that the model was trained on.
        history: how many events of a user are read, the newest.
        clock: Unix seconds.
        recommend: finds the best items of the model without its decay, which is asked with what has faded weighed
            down; that model itself when None.
        kept: bytes, about, of what is kept of users from one answer to the next. It changes no answer.

    Raises:
        DataError: the log's times are not Unix seconds, which those of events are.
    """

    def __init__(
        self,
        model: Recommender,
        fingerprint: str,
        log: Interactions | None,
        store: EventStore,
        *,
        trained_until: int = 0,
        history: int = 2_000,
        clock: Callable[[], float] = time.time,
        recommend: Recommend | None = None,
        kept: int = _KEPT,
    ) -> None:
        fitted = model.fitted_on
        if fitted.clock != "seconds":
            raise DataError(
                f"{fitted.dataset} has clock {fitted.clock!r}, and events come with Unix seconds; serve a run whose "
                "log has times"
            )
        self._model = model
        self._fingerprint = fingerprint
        self._log = log
        self._store = store
        self._trained_until = trained_until
        self._history = history
        self._clock = clock
        self._lock = threading.RLock()
        self._applied = 0
        # By the text of an id: text that only spells the same number, such as 007, is another user.
        self._users = {str(user): number for number, user in enumerate(fitted.users.ids.tolist())}
        self._next_user = self._room = len(fitted.users)
        self._items = {str(item): number for number, item in enumerate(fitted.items.ids.tolist())}
        self._logged: Mapping[str, int] = {}
        if log is not None:
            self._logged = {str(user): number for number, user in enumerate(log.users.ids.tolist())}
            self._logged_items = fitted.translation(log).items
        self._titles = TitleSearch(fitted.metadata.titles, fitted.tie_order.numpy())
        self._pasts: dict[str, UserHistory] = {}
        self._erased: set[str] = set()
        self._kept = UserCache(kept)
        self._stranger = UserHistory()
        within = model.scoring_model
        self._best = recommend or within.recommend
        exact = self._best == within.recommend and isinstance(within, LinearRows)
        self._reader = BoundedTopN(within) if exact else None
        self._records = served_records(model)
        self._routing = within.routing() if isinstance(within, RoutesItems) and within.folds_in else None
        self._n_personas = _count_personas(model)
        self.catch_up()

    @property
    def model(self) -> str:
        return self._fingerprint

    @property
    def applied(self) -> int:
        return self._applied

    def catch_up(self) -> int:
        with self._lock:
            last = self._store.last_sequence()
            if last > self._applied:
                for change in self._store.replay(self._applied):
                    self._apply(change)
                    self._applied = change.sequence
                self._applied = max(self._applied, last)  # what has that number may have been removed
            return self._applied

    def prepare(self, user_id: str) -> bool:
        with self._lock:
            if self._asked_lately(user_id) is None:
                return False
            self.catch_up()
            history = self._asked_lately(user_id)
            if history is None:  # erased by now
                return False
            if history.pending:
                self._known(user_id)
                return True
            if self._kept.get(history) is None:
                self._asked(history, None)
                return True
            self.recommend(user_id, _LENGTH, None, ())
            return False

    def check(self) -> None:
        fitted = self._model.fitted_on
        popular = str(fitted.items.id_of(int(fitted.tie_order[0])))
        try:
            if self._model.needs_known_users:
                self.recommend(str(fitted.users.id_of(0)), _LENGTH, None, ())
            else:
                self.recommend_for([told.Use(popular)], _LENGTH, None, ())
        except (ArithmeticError, LookupError, RuntimeError, ValueError) as error:
            raise BundleError(f"the model cannot answer ({type(error).__name__}); train the run again") from error

    def recommend(self, user_id: str, n: int, at: int | None, exclude: Collection[str]) -> told.RecommendationList:
        with self._lock:
            history = self._known(user_id)
            return self._recommend(history, *self._asked(history, at, exclude), n, exact=at is not None)

    def recommend_for(
        self, history: Sequence[told.Use], n: int, at: int | None, exclude: Collection[str]
    ) -> told.RecommendationList:
        timed = all(use.time is not None for use in history)
        now = int(self._clock())
        # Without times the order is what counts: one event a second, until a moment ago.
        times = [
            use.time if timed and use.time is not None else now - len(history) + k for k, use in enumerate(history)
        ]
        visitor = UserHistory()
        for use, moment in zip(history, times, strict=True):
            visitor.add(PendingEvent(self._items.get(use.item_id, UNKNOWN), use.value, moment, False, False))
        unknown = dict.fromkeys(use.item_id for use in history if use.item_id not in self._items)
        with self._lock:
            asked, ready = self._asked(visitor, at, exclude, keep=False)
            shown = tuple(unknown)[:_SHOWN]
            return self._recommend(visitor, asked, ready, n, shown, exact=at is not None)

    def personas(self, user_id: str, at: int | None) -> told.Personas:
        with self._lock:
            history = self._known(user_id)
            queries, ready = self._asked(history, at)
            (activity,) = persona_activity(self._model, queries)
            half_lives = user_half_lives(self._model, queries)
        corrections = self._corrections(history)
        personas = [
            persona_record(
                one, corrections.get(k, Correction()), activity.now[k], activity.long_term[k], activity.values[:, k]
            )
            for k, one in enumerate(ready.facts.personas[0])
        ]
        return told.Personas(
            self._fingerprint,
            int(queries.now[0]),
            tuple(activity.times.tolist()),
            None if half_lives is None else half_life_record(half_lives[0]),
            tuple(sorted(personas, key=lambda persona: -persona.share_now)),
        )

    def similar(self, item_id: str, n: int) -> told.SimilarItems:
        number = self._items.get(item_id)
        if number is None:
            raise told.UnknownError(
                "the model does not know this item; give the id of one of the log it was trained on"
            )
        with self._lock:
            numbers, scores = self._similar(number, n)
        titles, items = self._model.fitted_on.metadata.titles, self._model.fitted_on.items
        return told.SimilarItems(
            self._fingerprint,
            item_id,
            titles[number],
            tuple(
                told.SimilarItem(str(items.id_of(other)), titles[other], score)
                for other, score in zip(numbers.tolist(), scores.tolist(), strict=True)
                if other != UNKNOWN
            ),
        )

    def find(self, query: str, n: int) -> told.FoundItems:
        titles, items = self._model.fitted_on.metadata.titles, self._model.fitted_on.items
        found = self._titles.search(query, n)
        return told.FoundItems(
            self._fingerprint, tuple(told.FoundItem(str(items.id_of(item)), titles[item]) for item in found)
        )

    def known_users(self, n: int) -> told.KnownUsers:
        users = self._model.fitted_on.users
        numbers = np.unique(np.linspace(0, len(users) - 1, min(len(users), _LOOKED_AT * n)).astype(int))
        known = [self.known_user(str(users.id_of(number))) for number in numbers.tolist()]
        longest = sorted((one for one in known if one.events), key=lambda one: -one.events)
        return told.KnownUsers(self._fingerprint, tuple(longest[:n]))

    def known_user(self, user_id: str) -> told.KnownUser:
        with self._lock:
            return told.KnownUser(user_id, len(self._known(user_id).items))

    def check_correction(self, persona: int, correction: Correction) -> None:
        if not 0 <= persona < self._n_personas:
            some = f"0 to {self._n_personas - 1}" if self._n_personas else "none"
            raise told.UnknownError(f"there is no persona {persona}; this model has {some}")
        if correction.weight != 1 and self._routing is None:
            name = type(self._model).__name__
            raise CapabilityError(
                f"{name} does not route items to personas, so none can be muted or boosted; leave weight at 1"
            )

    def logged(self, user_id: str) -> tuple[told.LoggedUse, ...]:
        self.catch_up()
        number = None if user_hash(user_id) in self._erased else self._logged.get(user_id)
        if number is None or self._log is None:
            return ()
        where = self._log.history_slice(number)
        ids = self._log.items.ids[self._log.item_num[where]].tolist()
        values, times = self._log.value[where].tolist(), self._log.time[where].tolist()
        return tuple(
            told.LoggedUse(str(item), value if math.isfinite(value) else None, moment)
            for item, value, moment in zip(ids, values, times, strict=True)
        )

    def _apply(self, change: Change) -> None:
        """Take one change of the store."""
        if isinstance(change, Erased):
            if change.sequence > self._trained_until:
                self._erased.add(change.user_hash)
            history = self._pasts.pop(change.user_hash, None)
            if history is not None:
                self._kept.drop(history)
        elif isinstance(change, Corrected):
            self._past(change.user_id, keep=True).corrections[change.persona] = change.correction
        else:
            self._take(change)

    def _take(self, record: Recorded) -> None:
        event = record.event
        self._past(event.user_id, keep=True).pending.append(
            PendingEvent(
                self._items.get(event.item_id, UNKNOWN),
                event.value,
                event.time,
                event.kind == "dismiss",
                record.sequence > self._trained_until,
            )
        )

    def _past(self, user_id: str, *, keep: bool) -> UserHistory:
        """Return what is known of a user; whoever is only asked for need not be kept."""
        key = user_hash(user_id)
        history = self._pasts.get(key)
        if history is None:
            history = UserHistory() if key in self._erased else self._from_log(user_id)
            if keep or history.items:
                self._pasts[key] = history
        return history

    def _from_log(self, user_id: str) -> UserHistory:
        history = UserHistory(self._users.get(user_id, UNKNOWN))
        number = self._logged.get(user_id)
        if number is not None and self._log is not None:
            where = self._log.history_slice(number)
            history.items = array("i", self._logged_items[self._log.item_num[where]].tobytes())
            history.values = array("f", self._log.value[where].astype(np.float32).tobytes())
            history.times = array("q", self._log.time[where].astype(np.int64).tobytes())
            history.logged = frozenset(zip(history.items, history.times, strict=True))
        return history

    def _asked_lately(self, user_id: str) -> UserHistory | None:
        """Return what is known of a user of whom something is kept."""
        history = self._pasts.get(user_hash(user_id))
        return None if history is None or self._kept.former(history) is None else history

    def _known(self, user_id: str) -> UserHistory:
        """Return what is known of a user now, all of it learned."""
        self.catch_up()
        history = self._past(user_id, keep=False)
        if history.pending:
            self._kept.changed(history)
        while history.pending:
            event = history.pending.popleft()
            if event.dismissed:
                history.dismissed.add(event.item)
                continue
            if (event.item, event.time) in history.logged:
                continue
            if event.telling and event.item != UNKNOWN and isinstance(self._model, Decayed):
                if history.number == UNKNOWN:
                    history.number = self._admitted(self._model)
                stop = bisect_right(history.times, event.time)
                asked = history.question(max(0, stop - self._history), stop, event.time)
                self._model.observe(asked, np.asarray([event.item], np.int32))
            history.add(event)
        return history

    def _admitted(self, model: Decayed) -> int:
        """Return a number for somebody who was not in training, under which the model learns their half-life."""
        number = self._next_user
        self._next_user += 1
        if number >= self._room:
            self._room = number + max(_ROOM, number // 4)  # in proportion, so that growing costs little an event
            model.extend(self._room)
        return number

    def _asked(
        self, history: UserHistory, at: int | None, exclude: Collection[str] = (), *, keep: bool = True
    ) -> tuple[Queries, UserState]:
        """Return a user's question, in which nothing that was used or dismissed is asked for, and what is made of it.

        Args:
            history: all of it learned.
            at: see only what is earlier.
            exclude: further items that are not asked for.
            keep: whether the user may be asked for again.
        """
        stop = len(history.times) if at is None else bisect_left(history.times, at)
        newest = history.times[stop - 1] + 1 if stop else 0
        now = max(int(self._clock()), newest) if at is None else at
        whole = stop == len(history.times)
        if stop == 0 and history.number == UNKNOWN and not history.dismissed:
            history, whole = self._stranger, True  # of whom all is known: nothing
        ready = self._kept.get(history) if whole else None
        if ready is None:
            asked = history.question(max(0, stop - self._history), stop, now)
            asked = replace(asked, exclude=history.left_out(stop))
            self._model.check_queries(asked)
            kept = whole and (keep or history is self._stranger)
            former = self._kept.former(history) if kept else None
            facts = UserFacts.of(self._model, asked, None if former is None else former.facts)
            ready = UserState(asked, facts, bounded=None if former is None else former.bounded)
            if kept:
                ready.cached_weights = self._model.cached_weights(asked) if isinstance(self._model, Decayed) else None
                self._kept.put(history, ready)
        queries = ready.at(now)
        if exclude:
            more = np.asarray([self._items.get(item, UNKNOWN) for item in exclude], np.int32)
            queries = replace(queries, exclude=Ragged.of([np.union1d(queries.excluded.items, more)]))
        return queries, ready

    def _corrected(self, queries: Queries, corrections: Mapping[int, Correction]) -> Queries:
        """Return the question with each event weighted by what its personas have to say."""
        if not corrections:
            return queries
        factors = np.ones(self._n_personas, np.float32)
        for persona, correction in corrections.items():
            factors[persona] = correction.weight
        if self._routing is None or bool((factors == 1).all()):
            return queries
        if not factors.any():  # nobody has a say: as for somebody without a history
            none = np.zeros(0, np.int64)
            return Queries(
                queries.users,
                Ragged.of([[]]),
                none.astype(np.float32),
                none,
                queries.now,
                exclude=queries.excluded,
            )
        # Scaled to at most 1, as weights are; the order of the items stays.
        routed = self._routing[np.maximum(queries.history.items, 0)] @ (factors / factors.max())
        return queries.with_weights(np.minimum(routed, 1.0).astype(np.float32))

    def _recommend(
        self,
        history: UserHistory,
        asked: Queries,
        ready: UserState,
        n: int,
        unknown: tuple[str, ...] = (),
        *,
        exact: bool,
    ) -> told.RecommendationList:
        """Answer a question, with the last list of the user where it would be the same.

        Args:
            history: of the user.
            asked: the question.
            ready: what is made of the history.
            n: length of the list.
            unknown: items of the question that are not known.
            exact: read the history as of the very second.
        """
        now = int(asked.now[0])
        moment = now if exact else _moment(now, asked.times)
        corrections = self._corrections(history)
        kept = asked.exclude is ready.queries.exclude
        if kept and ready.told is not None and ready.told.answers(moment, n, corrections):
            later = now - ready.told.now
            items = tuple([aged(one, later) for one in ready.told.items]) if later else ready.told.items
        else:
            items = self._listed(asked, moment, ready, n, corrections)
            if kept:
                ready.told = CachedList(moment, now, n, corrections, items)
                if self._kept.get(history) is ready:
                    self._kept.put(history, ready)
        return told.RecommendationList(self._fingerprint, now, ready.known, unknown, items)

    def _listed(
        self, asked: Queries, moment: int, ready: UserState, n: int, corrections: dict[int, Correction]
    ) -> tuple[told.Recommended, ...]:
        """Make a list, of a history that is read as of a moment; ages are as of the question."""
        facts = ready.facts
        queries = self._corrected(asked.at(np.asarray([moment], np.int64)), corrections)
        if len(queries.times) < len(asked.times):  # nobody has a say: there is no history left to explain with
            facts = UserFacts.of(self._model, queries)
            reading = self._model.read(queries)
        else:
            reading = self._model.read(queries) if ready.cached_weights is None else ready.cached_weights.read(queries)
        best, contributions = self._found(ready, reading.queries, n)
        reading = replace(reading, queries=reading.queries.at(asked.now))
        (items,) = explain_read(reading, facts, best, self._records, contributions=contributions)
        if corrections:
            items = [as_corrected(one, ready.facts.personas[0], corrections) for one in items]
        return tuple(items)

    def _found(self, ready: UserState, read: Queries, n: int) -> tuple[Recommendations, torch.Tensor | None]:
        """Return the best items, and what each event contributes to them where that is known by then."""
        if self._reader is None:
            return self._best(read, n), None
        best = self._reader.best(read, n, ready.bounded)
        ready.bounded = best.bounded
        return best.found, best.contributions

    def _corrections(self, history: UserHistory) -> dict[int, Correction]:
        """Return the corrections of this model's personas that change anything."""
        return {
            persona: correction
            for persona, correction in history.corrections.items()
            if correction.model in ("", self._fingerprint)
            and persona < self._n_personas
            and (correction.weight != 1 or correction.name is not None)
        }

    def _similar(self, number: int, n: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
        """Return what somebody is recommended who used nothing else; of learned users, what points the same way."""
        if self._model.folds_in:
            best = self._best(self._model.read(Queries.from_history([[number]])).queries, n)
            return best.items[0], best.scores[0]
        if not (isinstance(self._model, PersonaRecommender) and self._model.has_personas):
            raise CapabilityError(f"{type(self._model).__name__} knows nothing of how items go together")
        with torch.inference_mode():
            vectors = torch.nn.functional.normalize(self._model.item_vectors().float(), dim=1)
            cosine = vectors @ vectors[number]
            cosine[number] = -torch.inf
            values, items = torch.topk(cosine, min(n, len(cosine) - 1))
        return items.cpu().numpy().astype(np.int32), values.cpu().numpy()


def _moment(now: int, times: npt.NDArray[np.int64]) -> int:
    """Return the moment as of which a history is read that is asked about now: for some time it is the same.

    What depends on it are the belief in each half-life, by the logarithm of the time since the newest event, and which
    events are younger than it.
    """
    newest = int(times[-1]) if len(times) else 0
    coarse = max((now - newest).bit_length() - _DIGITS, 0)
    return newest + ((now - newest) >> coarse << coarse)


def _place(address: str) -> str:
    """Return where a store is, without its pin and options."""
    bare = re.sub(PINNED, "", address)
    return located(bare if is_address(bare) or bare == "memory:" else f"sqlite:///{bare}").partition("?")[0]


def _count_personas(model: Recommender) -> int:
    if not (isinstance(model, PersonaRecommender) and model.has_personas):
        return 0
    with torch.inference_mode():
        somebody = Queries.from_history([[]], users=[0])
        return int(model.attention(somebody, np.zeros((1, 1), np.int32)).shape[1])
