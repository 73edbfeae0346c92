"""What is kept of a user, in how many bytes, and what that costs."""
