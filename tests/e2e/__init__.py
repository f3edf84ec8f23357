"""The page in a real browser. A package, so that all its files share one studio and one Chromium."""
