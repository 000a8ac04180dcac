"""What the usage timeline of a site covers; lead times; hours per host, project and user."""
