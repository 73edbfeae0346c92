"""AMP-CF: attentive multi-persona collaborative filtering, latent, and its one-persona case MF."""
