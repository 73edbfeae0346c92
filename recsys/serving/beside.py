"""Two models side by side: each user has one of them, always the same, and answers say which."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Concatenate, ParamSpec, TypeVar, cast, final

from recsys.errors import ConfigError
from recsys.serving.answers import Answers
from recsys.serving.interview.records import InterviewScreen, SaidAnswer
from recsys.serving.norms.norms import Norms

P = ParamSpec("P")
R = TypeVar("R")


@final
@dataclass(frozen=True)
class Split:
    """Which users have the model that is tried: those whose hash lies below a share.

    It depends on nothing but the name and the user, so that it is the same in every process and after a restart. A
    larger share keeps all users of a smaller one; another name draws anew.

    Attributes:
        share: of users, from 0 to 1.
        name: of the trial.

    Raises:
        ConfigError: the share is none.
    """

    share: float
    name: str = "beside"

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ConfigError(f"--share is {self.share:g}; give a share of users from 0 to 1")

    def has(self, user_id: str) -> bool:
        """Return whether a user has the model that is tried.

        >>> users = [f"user {number}" for number in range(1000)]
        >>> 70 < sum(map(Split(0.1).has, users)) < 130
        True
        """
        digest = hashlib.sha256(f"{self.name}\n{user_id}".encode(errors="surrogatepass")).digest()
        return int.from_bytes(digest[:8]) < self.share * 2**64


def _of_user(method: Callable[Concatenate[Answers, P], R]) -> Callable[Concatenate[SideBySide, P], R]:
    """Return a method of the same signature that asks the model of the user, whose id comes first."""

    def answer(self: SideBySide, /, *args: P.args, **options: P.kwargs) -> R:
        user_id = cast("str", args[0] if args else options["user_id"])
        return cast("R", getattr(self.of(user_id), method.__name__)(*args, **options))

    return answer


def _of_main(method: Callable[Concatenate[Answers, P], R]) -> Callable[Concatenate[SideBySide, P], R]:
    """Return a method of the same signature that asks the main model."""

    def answer(self: SideBySide, /, *args: P.args, **options: P.kwargs) -> R:
        return cast("R", getattr(self.main, method.__name__)(*args, **options))

    return answer


@final
class SideBySide:
    """Implements `recsys.serving.answers.Answers` with two models. What is of no stored user is of the main one.

    Args:
        main: answers most.
        beside: answers the users of the split.
        split: of users.
    """

    def __init__(self, main: Answers, beside: Answers, split: Split) -> None:
        self.main = main
        self._beside = beside
        self._split = split

    def of(self, user_id: str) -> Answers:
        return self._beside if self._split.has(user_id) else self.main

    @property
    def model(self) -> str:
        return self.main.model

    @property
    def norms(self) -> Norms | None:
        return self.main.norms

    @property
    def genres(self) -> tuple[str, ...]:
        return self.main.genres

    @property
    def corrections_of(self) -> str:
        return self.main.corrections_of

    @property
    def applied(self) -> int:
        return min(self.main.applied, self._beside.applied)

    @property
    def warm(self) -> bool:
        return self.main.warm and self._beside.warm

    @property
    def learning(self) -> bool:
        return self.main.learning or self._beside.learning

    @property
    def unsaved(self) -> int:
        return self.main.unsaved + self._beside.unsaved

    def catch_up(self) -> int:
        return min(self.main.catch_up(), self._beside.catch_up())

    def check(self) -> None:
        self.main.check()
        self._beside.check()

    def learn(self) -> None:
        (self.main if self.main.learning else self._beside).learn()

    def save(self) -> None:
        self.main.save()
        self._beside.save()

    def interview(
        self,
        said: Sequence[SaidAnswer],
        n: int,
        screen: int,
        skipped: Collection[str] = (),
        user_id: str | None = None,
    ) -> InterviewScreen:
        answers = self.main if user_id is None else self.of(user_id)
        return answers.interview(said, n, screen, skipped, user_id)

    prepare = _of_user(Answers.prepare)
    search = _of_user(Answers.search)
    recommend = _of_user(Answers.recommend)
    recommend_now = _of_user(Answers.recommend_now)
    summary = _of_user(Answers.summary)
    personas = _of_user(Answers.personas)
    reliability = _of_user(Answers.reliability)
    ask_again = _of_user(Answers.ask_again)
    check_answered = _of_user(Answers.check_answered)
    user_summary = _of_user(Answers.user_summary)
    check_correction = _of_user(Answers.check_correction)
    logged_events = _of_user(Answers.logged_events)

    recommend_for = _of_main(Answers.recommend_for)
    recommend_text = _of_main(Answers.recommend_text)
    check_summary = _of_main(Answers.check_summary)
    similar = _of_main(Answers.similar)
    title_of = _of_main(Answers.title_of)
    item = _of_main(Answers.item)
    items_of = _of_main(Answers.items_of)
    find_items = _of_main(Answers.find_items)
    ranked_items = _of_main(Answers.ranked_items)
    example_users = _of_main(Answers.example_users)
