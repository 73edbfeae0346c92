"""What less distortion costs: slates of one model, compared at equal losses of NDCG."""
