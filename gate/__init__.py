"""mlgate: the service in front of the registry that admits compliant images and nothing else."""
