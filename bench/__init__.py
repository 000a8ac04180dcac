"""Benchmarks that print the figures an operator plans with; `make bench` runs them all."""
