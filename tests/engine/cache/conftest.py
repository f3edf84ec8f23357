"""The ranks of the parallel tests."""

from tests.engine.parallel.conftest import ranks

__all__ = ["ranks"]
