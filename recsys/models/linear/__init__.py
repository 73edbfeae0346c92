"""Linear item-item models in closed form, and exact top-n lists from their weights."""
