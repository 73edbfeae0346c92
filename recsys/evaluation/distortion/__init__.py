"""Distortion: how far lists turn users into somebody else, and how much of that is the same for everybody."""

from recsys.evaluation.distortion.axes import Axis, persona_axis, popularity_tastes, taste_axis
from recsys.evaluation.distortion.chance import Chance
from recsys.evaluation.distortion.measures import AxisSummary, Direction, mean_of_known
from recsys.evaluation.distortion.result import AXES, AxisName, Distortion, axes_of, distortion, measure

__all__ = [
    "AXES",
    "Axis",
    "AxisName",
    "AxisSummary",
    "Chance",
    "Direction",
    "Distortion",
    "axes_of",
    "distortion",
    "mean_of_known",
    "measure",
    "persona_axis",
    "popularity_tastes",
    "taste_axis",
]
