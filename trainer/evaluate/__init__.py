"""How good a bundle is, on held-out scenes whose every answer is known: figures, their baselines, and the report."""
