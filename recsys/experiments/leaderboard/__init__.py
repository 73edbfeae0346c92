"""Many runs on one table: means, differences to the best, paired tests, as Markdown, HTML and pictures."""
