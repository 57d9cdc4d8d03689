"""What runs a plan: jobs, trials, the log, the run folder, workers, Ray."""
