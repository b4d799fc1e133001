"""Dashboards and admin pages: what a person watches while it trades, read from the journal and the run registry.

One process serves both (`server.make_server`, `atb dashboards`): Dash draws the pages, Flask-Admin the tables, and one gate
(`gate`) stands before every route. Of a runner the journal alone is read, so a stopped runner is shown like a running one.
"""
