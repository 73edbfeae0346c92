"""Finished runs in an experiment tracker."""
