"""What one rule for all cannot do where users disagree, and how much of it personal models and personas repair."""
