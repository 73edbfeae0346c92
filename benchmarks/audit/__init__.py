"""What models, retrained on what they caused, do to simulated people; the paper of Chaney, Stewart and Engelhardt again."""
