"""The mixture of preferences, non-attitudes and constructed answers, by expectation-maximisation."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from recsys.checks import positive, seed_of_draws, whole
from recsys.errors import ConfigError, DataError
from recsys.reliability.conditions import sways
from recsys.reliability.estimate import Estimate, repeats_agree
from recsys.reliability.posterior import AnswerScale, Conditions, FittedMixture, Reliability
from recsys.reliability.responses import Responses

_LOG = logging.getLogger(__name__)
_TURNS: Final = 2
"""Of spreads and classes in a round, which need more of them than predictions do."""
_LEAST_MASS: Final = 0.01


@final
@dataclass(frozen=True)
class ResponseMixture:
    """Tells preferences from answers that were thrown in, and from those that the question made.

        z_ui ~ Categorical(pi_u),  pi_u ~ Dirichlet(shrinkage pi)
        E  gamma_uik proportional to pi_uk p_k(answers of u about i)         p_k: see `log_likelihoods`
        M  pi_u = (sum_i gamma_ui + shrinkage pi) / (n_u + shrinkage);  spreads and kappa by maximum likelihood

    Preferences are predicted by matrix factorisation, `Factors`, whose ratings count by gamma of genuine; the items'
    part is fitted on other folds of the pairs than the one that is judged, and the user's part on the other answers of
    the user, so that no answer vouches for itself. Non-attitudes and opinions are Converse's black and white model,
    *The Nature of Belief Systems in Mass Publics*, 1964; constructed answers follow what was shown (Cosley et al., *Is
    Seeing Believing?*, CHI 2003). The mixture of the three with prediction is ours.

    Args:
        classes: 3, or 2 without constructed answers.
        shrinkage: answers that the shares of all users count as in those of one.
        folds: of the pairs.
        rounds: of prediction, spreads and posteriors.
        size: length of the vectors of the factorisation; superfluous dimensions vanish.
        permutations: of the conditions, which the true ones must beat to be believed in.
        seed: of folds and permutations.

    Raises:
        ConfigError: a setting is out of range.
    """

    classes: int = 3
    shrinkage: float = 12.0
    folds: int = 5
    rounds: int = 20
    size: int = 6
    permutations: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        if self.classes not in (2, 3):
            raise ConfigError(f"classes is {self.classes}; it must be 2 (without constructed answers) or 3")
        positive("shrinkage", self.shrinkage)
        whole("folds", self.folds, least=2)
        for name in ("rounds", "size", "permutations"):
            whole(name, getattr(self, name))
        seed_of_draws(self.seed)

    def fit(
        self, responses: Responses, progress: Callable[[int, int], None] = lambda _done, _rounds: None
    ) -> tuple[FittedMixture, Reliability]:
        """Return what was learned, and how reliable each of the responses is.

        Answers that are not told apart keep weight 1, and the result says why.

        Args:
            responses: answers of users about items.
            progress: called with the rounds that are done and all; they begin anew where a class proves empty.

        Raises:
            DataError: there is no response, or all are the same.
        """
        if len(np.unique(responses.value)) < 2:
            none = "there is no response" if len(responses) == 0 else f"every response is {responses.value[0]:g}"
            raise DataError(f"{none}, so nothing can be told of any; give a log whose ratings differ")
        centered = responses.under(responses.condition - responses.condition.mean(0), responses.names)
        run = Estimate.begun(centered, self.folds, self.size, self.seed).predicted()
        identified = run.predicts() or repeats_agree(centered)
        asked = self.classes == 3 and _varies(centered)
        found = self._rounds(run.without(2) if not asked else run, progress)
        constructed, reason = asked, _reason_without(responses, self.classes)
        if asked:
            constructed, reason = sways(found, self.permutations, self.seed)
            if constructed and found.gamma[:, 2].mean() < _LEAST_MASS:
                constructed, reason = False, f"under {_LEAST_MASS:.0%} of the answers follow a condition"
            if not constructed:
                found = self._rounds(found.without(2), progress)
        if found.gamma[:, 1].mean() < _LEAST_MASS:
            _LOG.warning("under %.0f%% of the answers are non-attitudes; none is taken for one", 100 * _LEAST_MASS)
            found = found.without(1)
        if not identified:
            reason = (
                "neither other answers nor second ones tell an answer better than the user's own mean; all count alike"
            )
        fitted = FittedMixture(
            found.whole,
            found.spreads,
            found.shares(),
            self.shrinkage,
            AnswerScale.of(responses),
            Conditions.of(responses),
            identified,
            constructed and identified,
            reason,
        )
        return fitted, Reliability.of(fitted, responses, found.gamma, found.user_shares)

    def _rounds(self, run: Estimate, progress: Callable[[int, int], None]) -> Estimate:
        for done in range(self.rounds):
            progress(done, self.rounds)
            run = run.predicted()
            for _ in range(_TURNS):
                run = run.spread().judged(self.shrinkage)
        progress(self.rounds, self.rounds)
        return run


def _varies(responses: Responses) -> bool:
    """Return whether any user answered under several conditions; those of different users cannot be compared."""
    order = np.argsort(responses.user, kind="stable")
    user, condition = responses.user[order], responses.condition[order]
    return bool(((condition[1:] != condition[:-1]).any(1) & (user[1:] == user[:-1])).any())


def _reason_without(responses: Responses, classes: int) -> str:
    if classes == 2:
        return "constructed answers were not asked about"
    if not responses.names:
        return "no condition of an answer is known, so constructed answers cannot be told from preferences"
    return "users answered under the same condition each, so constructed answers cannot be told from preferences"
