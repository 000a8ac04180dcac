"""Alerts: a failure is reported once per cause, not again until it changes, and so is its recovery.

Findings are compared with what was reported (`ledger`, `state`: an SQLite file of its own); what is new goes into an
outbox per channel, all in one transaction, and is delivered only then. What a channel did not take stays in its outbox.

What belongs here: causes, their memory, messages and channels. What stays out: how Dagster's runs are read and when
that happens (orchestration/alert_sensor.py, failed_runs.py, missed.py).
"""
