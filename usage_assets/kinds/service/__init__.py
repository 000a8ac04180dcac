"""Services that answer requests with models: gateways, inference servers, image generators.

What belongs here: everything that knows requests, models, tokens and their users. What stays out: rates and limits of
any quantity (pricing), and what other kinds share.
"""
