"""What the Snakefile asks: jobs, networks and studies of a workflow, and the names of what they make."""
