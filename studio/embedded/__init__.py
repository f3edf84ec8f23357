"""The one-command default: PostgreSQL from a wheel, web, workers and sweeper as children of one process."""
