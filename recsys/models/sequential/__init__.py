"""Sequential AMP-CF: personas read from memories of several half-lives, beside a linear expert."""
