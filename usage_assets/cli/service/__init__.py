"""`usage-assets service ...`: users, models, cost, limits and recommendations of services that answer with models.

What belongs here: arguments and how answers are shown. What stays out: how they are found (kinds/service).
"""
