"""AMP-CF: attentive multi-persona collaborative filtering, latent and linear, and its one-persona case MF."""
