"""Lists of many users in a file: streamed in parts, resumed where they were interrupted, joined in one step."""
