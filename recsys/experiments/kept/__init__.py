"""What a run keeps of a user, in bytes and in words."""
