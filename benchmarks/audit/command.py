"""What models, retrained on what they caused, do to simulated people. `python -m benchmarks.audit`.

Four worlds of 300 users and 400 items, whose people choose one of ten listed items a round: 12 rounds by themselves, 30
with a system, which is fitted again in each. All arms of a seed meet the same people, moods and noise; differences are
paired over seeds, intervals are Student's t. Constants of mitigations were tuned on seeds 0 to 2 and are reported on
seeds 10 to 19. The signs that were expected stand in `docs/audits.md`; they were written before the reported seeds were
run, when EASE had been seen on seeds 0 to 2. Nothing here is about people: it is about models of people.

`result.json` holds every measure by seed, from which the tables are made; what was measured round by round, for the
pictures, stays in `cells/`, which the same command fills again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks.audit import chaney
from benchmarks.tools.command import parser, program
from benchmarks.tools.report import report_folder, significant, table, write_report, write_result
from recsys.audits.arms import Alone, Arm, Content, ExpectedOracle, Popular, Random, Recommended, SlateOracle
from recsys.audits.measures import MEASURES
from recsys.audits.mitigations import mitigation
from recsys.audits.owners import Clusters, Found, Routed
from recsys.audits.report import CAUTION, Audit, Difference, draw_world, paired_interval
from recsys.audits.runs import WORLDS, Cell, audit
from recsys.models import AMPCF, EASE, PersonaEASE

REPORTED: Final = tuple(range(10, 20))
_EASE = "EASE"
_MITIGATIONS = ("floor", "seats", "rate", "mixture", "appeal", "broad", "sampled", "explore", "weighted")

EXPECTED: Final = (
    ("moods", "oracle", "moment", "none", -1),
    ("moods", _EASE, "moment", "none", 1),
    ("moods", "EASE + seats", "trend", _EASE, 1),
    ("moods", "EASE + rate", "starvation", _EASE, -1),
    ("moods", "EASE + weighted", "moment", _EASE, -1),
    ("shaping", _EASE, "taste", "none", -1),
    ("shaping", _EASE, "drift", "none", -1),
    ("chaney", _EASE, "neighbour", "none", 1),
    ("chaney", "popularity", "neighbour", _EASE, 1),
    ("camps", _EASE, "spread", "none", -1),
    ("camps", _EASE, "gap", "none", -1),
)
"""Signs expected before the reported seeds were run: world, arm, measure, against, sign."""


def arms_of_ease() -> list[Arm]:
    """Return the arms that need no gradient: no system, systems that know nothing, oracles, EASE and mitigations."""
    ease = partial(EASE, regularization=15.0)
    arms: list[Arm] = [
        Alone(),
        Random(),
        Popular(),
        Content(),
        ExpectedOracle(),
        SlateOracle(),
        Recommended(_EASE, ease),
    ]
    arms += [Recommended(_EASE, ease, mitigation(name)) for name in _MITIGATIONS]
    return arms


def other_arms() -> list[Arm]:
    """Return other models: PersonaEASE, its twin of one persona, personas found per user, AMP-CF by gradient."""
    persona, twin = partial(PersonaEASE, personas=8, factors=12), partial(PersonaEASE, personas=1)
    found = partial(EASE, regularization=15.0)
    return [
        Recommended("PersonaEASE", persona, every=3),
        Recommended("PersonaEASE", persona, mitigation("appeal"), 3, Routed()),
        Recommended("PersonaEASE twin", twin, every=3),
        Recommended("PersonaEASE twin", twin, mitigation("appeal"), 3, Clusters()),
        Recommended("EASE, found", found, mitigation("appeal"), 3, Found()),
    ]


def latent_arms() -> list[Arm]:
    """Return AMP-CF by gradient, fitted every ten rounds."""
    return [Recommended("AMPCF latent", partial(AMPCF, embedding_size=16, users="history", personas=3), every=10)]


@program
def main(arguments: Sequence[str] | None = None) -> Path:
    """Run the benchmark; return the path of the report."""
    command = parser("audit", __doc__, quick="two seeds of four rounds", threads=True)
    command.add_argument("--processes", type=int, default=2, help="at a time (default: 2)")
    command.add_argument("--seeds", type=int, nargs="+", default=list(REPORTED), help="of the worlds (default: 10-19)")
    command.add_argument("--others", type=int, default=3, help="of these seeds for models other than EASE (default: 3)")
    options = command.parse_args(arguments)
    out = report_folder("audit", options.out, options.quick)
    seeds = options.seeds[:2] if options.quick else options.seeds
    worlds = [make() for make in WORLDS.values()]
    shared = {"rounds": 4 if options.quick else 30, "out": out, "processes": options.processes, "progress": _say}
    cells = audit(worlds, arms_of_ease(), seeds, **shared)
    some = [] if options.quick else seeds[: options.others]
    cells += audit(worlds, other_arms(), some, **shared)
    cells += audit(worlds[:2], latent_arms(), some, **shared)
    likeness = {str(seed): chaney.likeness(seed, 5 if options.quick else 90) for seed in seeds}
    result = significant(by_seed(cells) | {"chaney": likeness}, digits=9)
    write_result(out, result)
    found = Audit(cells_of(result))
    for world in found.worlds:
        draw_world(Audit([cell for cell in cells if "EASE," not in cell["arm"]]), world, out / f"{world}.png")
    return write_report(out, report(found, result["chaney"]))


def by_seed(cells: Sequence[Cell]) -> dict[str, Any]:
    """Return the measures of cells, without what was measured round by round: world -> arm -> measure -> by seed."""
    found: dict[str, dict[str, dict[str, list[float]]]] = {}
    for cell in cells:
        arm = found.setdefault(cell["world"], {}).setdefault(cell["arm"], {})
        for name, value in {"seed": cell["seed"], **cell["measures"]}.items():
            arm.setdefault(name, []).append(value)
    return {"worlds": found}


def cells_of(result: Mapping[str, Any]) -> list[Cell]:
    """Return the cells of a result, without what was measured round by round."""
    return [
        {
            "world": world,
            "arm": arm,
            "seed": seed,
            "measures": {name: float("nan") if values[n] is None else values[n] for name, values in measures.items()},
        }
        for world, arms in result["worlds"].items()
        for arm, of_arm in arms.items()
        for measures in [{name: values for name, values in of_arm.items() if name != "seed"}]
        for n, seed in enumerate(of_arm["seed"])
    ]


def _say(done: int, all_: int, cell: Cell) -> None:
    print(f"{done} of {all_}: {cell['world']}, {cell['arm']}, seed {cell['seed']}", flush=True)


def report(found: Audit, likeness: dict[str, dict[str, dict[str, float]]]) -> list[str]:
    """Return the paragraphs of the report."""
    words = [[f"`{name}`", text] for name, text in MEASURES.items()]
    return [
        "# Echo chambers: what models do to people who choose from their lists",
        f"{(__doc__ or '').split(chr(10) * 2)[1].strip()} {CAUTION}",
        "## Bars",
        table(["bar", "best arm", "measured", ""], bars(found)),
        "## Signs expected, and found",
        table(["world", "arm", "measure", "against", "expected", "found", ""], signs(found)),
        "## Worlds",
        found.markdown(),
        table(["measure", "what it is"], words),
        "\n\n".join(f"![{world}]({world}.png)" for world in found.worlds),
        "## Chaney, Stewart, Engelhardt 2018",
        (chaney.__doc__ or "").strip(),
        table(["arm", "Jaccard less the ideal's", "utility"], _likeness(likeness)),
    ]


def bars(found: Audit) -> list[list[str]]:
    """Return the bars of the design, with the mitigation of EASE that does best."""
    made = [arm for arm in found.arms if arm.startswith(f"{_EASE} + ")]
    gain = {arm: found.difference("moods", arm, "moment", _EASE) for arm in made}
    calm = [arm for arm in made if _mean(found, "moods", arm, "starvation") <= 0.05]
    calm = [arm for arm in calm if _mean(found, "moods", arm, "sycophancy") <= 0.35] or made
    moods = max(calm, key=lambda arm: gain[arm].difference)
    far = found.difference("moods", "slate oracle", "moment", _EASE).difference
    rows = [
        [
            "`moods`: moment utility >= EASE + .34, starvation <= .05, sycophancy <= .35 together",
            moods,
            f"{_shown(gain[moods])} ({gain[moods].difference / far:.0%} of the way to the slate oracle), "
            f"{_mean(found, 'moods', moods, 'starvation'):.3f}, {_mean(found, 'moods', moods, 'sycophancy'):.3f}",
            _met(
                gain[moods].difference >= 0.34
                and _mean(found, "moods", moods, "starvation") <= 0.05
                and _mean(found, "moods", moods, "sycophancy") <= 0.35
            ),
        ]
    ]
    lost = found.difference("shaping", _EASE, "taste").difference
    back = {arm: found.difference("shaping", arm, "taste", _EASE).difference / -lost for arm in made}
    kept = {arm: found.difference("shaping", arm, "moment", _EASE) for arm in made}
    free = [arm for arm in made if kept[arm].difference >= 0] or made
    shaped = max(free, key=lambda arm: back[arm])
    rows.append(
        [
            "`shaping`: >= 35% of the lost taste entropy at no loss of moment utility",
            shaped,
            f"{back[shaped]:.0%}, utility {_shown(kept[shaped])}",
            _met(back[shaped] >= 0.35 and kept[shaped].difference >= 0),
        ]
    )
    excess = {arm: found.difference("chaney", arm, "neighbour").difference for arm in made}
    better = [arm for arm in made if found.difference("chaney", arm, "moment", _EASE).difference >= 0] or made
    alike = min(better, key=lambda arm: excess[arm])
    rows.append(
        [
            "`chaney`: Jaccard excess <= .16 at utility >= EASE",
            alike,
            f"{excess[alike]:+.3f} (EASE {found.difference('chaney', _EASE, 'neighbour').difference:+.3f}), utility "
            f"{_shown(found.difference('chaney', alike, 'moment', _EASE))}",
            _met(excess[alike] <= 0.16 and found.difference("chaney", alike, "moment", _EASE).difference >= 0),
        ]
    )
    price = {
        arm: -found.difference("camps", arm, "moment", _EASE).difference / _mean(found, "camps", _EASE, "moment")
        for arm in made
    }
    cheap = [arm for arm in made if price[arm] <= 0.025] or made
    open_ = max(cheap, key=lambda arm: _mean(found, "camps", arm, "across"))
    rows.append(
        [
            "`camps`: cross-camp exposure >= .30 at <= 2.5% utility",
            open_,
            f"{_mean(found, 'camps', open_, 'across'):.3f} (EASE {_mean(found, 'camps', _EASE, 'across'):.3f}) at "
            f"{price[open_]:.1%}",
            _met(_mean(found, "camps", open_, "across") >= 0.3 and price[open_] <= 0.025),
        ]
    )
    return rows


def signs(found: Audit) -> list[list[str]]:
    """Return the signs that were expected beside those that were found."""
    rows = []
    for world, arm, measure, against, sign in EXPECTED:
        seen = found.difference(world, arm, measure, against)
        verdict = "as expected" if seen.sign == sign else "not established" if seen.sign == 0 else "the other way"
        rows.append([world, arm, measure, against, "+" if sign > 0 else "-", _shown(seen), verdict])
    return rows


def _likeness(found: dict[str, dict[str, dict[str, float]]]) -> list[list[str]]:
    import numpy as np  # noqa: PLC0415

    rows = []
    for arm in chaney.ARMS:
        cells = []
        for name in ("jaccard", "utility"):
            mean, half = paired_interval(np.asarray([run[arm][name] for run in found.values()]))
            cells.append(f"{mean:+.4f}{'' if half is None else f' ±{half:.4f}'}")
        rows.append([arm, *cells])
    return rows


def _mean(found: Audit, world: str, arm: str, measure: str) -> float:
    return found.difference(world, arm, measure).value


def _shown(difference: Difference) -> str:
    return f"{difference.difference:+.3f}{'' if difference.half is None else f' ±{difference.half:.3f}'}"


def _met(met: bool) -> str:
    return "met" if met else "missed"
