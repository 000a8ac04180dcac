"""A made pool of GPUs: what its slots said, poll by poll."""
