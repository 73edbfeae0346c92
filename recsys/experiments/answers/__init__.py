"""What people answer, asked of a run: interviews of newcomers, and the reliability of a user's ratings."""
