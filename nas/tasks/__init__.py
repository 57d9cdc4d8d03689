"""What a network can learn: classification."""
