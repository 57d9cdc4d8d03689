"""What `nas evaluate` prints beside the metric."""
