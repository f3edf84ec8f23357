"""Tenants: workspaces, their members and roles, API keys, and who may do what."""
