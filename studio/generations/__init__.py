"""The kinds of jobs that make videos: their settings, their checks, their handlers."""
