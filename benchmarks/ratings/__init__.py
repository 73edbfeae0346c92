"""Rating prediction with and without decay."""
