"""Norms that bind before preferences are served: a file in layers, law over organisation over role over individual."""
