"""The counter that sites had before: its hours as a timeline, and the comparison with ours."""
