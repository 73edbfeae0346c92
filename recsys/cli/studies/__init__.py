"""Commands that study what a run does to people: audits of closed loops, disagreement, distortion."""
