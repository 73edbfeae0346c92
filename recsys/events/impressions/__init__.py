"""What people were shown and what they chose: impressions and clicks, by list, model and position."""
