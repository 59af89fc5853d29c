"""Superset for one script on one machine: everything in one folder, and databases on it may be connected to."""
import os

SECRET_KEY = "of a server that lives for a minute and is reached from this machine alone"
SQLALCHEMY_DATABASE_URI = f"sqlite:///{os.environ['SUPERSET_HOME']}/superset.db"
PREVENT_UNSAFE_DB_CONNECTIONS = False
TALISMAN_ENABLED = False
WTF_CSRF_ENABLED = False
RATELIMIT_ENABLED = False
