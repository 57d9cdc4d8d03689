"""The pictures of an ablation of searches."""
