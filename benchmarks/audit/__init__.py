"""What models, retrained on what they caused, do to simulated people, and a replication."""
