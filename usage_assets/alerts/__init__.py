"""Alerts: what fails is told once per cause and not again until it changes, and so is that it holds again.

A tick reads what finished runs say of their checks and of themselves (`runs`), which nightlies did not come
(`missed`) and which files can't be read, compares that with what was told (`state`, an SQLite file of its own), puts
what is new into an outbox per channel, all in one transaction, and only then delivers (`sensor`). What a channel did
not take stays in its outbox.
"""
