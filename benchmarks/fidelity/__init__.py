"""Fidelity of the evidence of the served configurations."""
