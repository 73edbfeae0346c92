"""Items that training did not know, scored from what is known of them: genres, tags, titles, given vectors."""
