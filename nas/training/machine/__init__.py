"""What a training takes from its machine: memory, and the precision of its numbers."""
