"""Distortion of a run's lists, and what less of it costs."""

from recsys.experiments.distortion.runs import curves, run_distortion, slate_of

__all__ = ["curves", "run_distortion", "slate_of"]
