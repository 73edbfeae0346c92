"""The search for settings: a typed space in the experiment file, trials on validation, a study that can be resumed."""
