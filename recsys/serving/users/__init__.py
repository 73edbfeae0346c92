"""What the service keeps of users: their histories, what beliefs learn from these, and the states between answers."""
