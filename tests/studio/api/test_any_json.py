"""Whatever JSON is sent, the API answers with a problem document or a result, never with a 500."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.studio.rest import Api

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_dir")]

leaf = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
anything = st.recursive(leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3))
names = [
    "kind",
    "settings",
    "metadata",
    "asset_id",
    "email",
    "password",
    "name",
    "role",
    "colours",
    "facts",
    "brand_id",
]
parts = ["format", "seconds", "fps", "short_side", "camera", "subject", "prompt", "seed", "steps", "asset_id"]
some_settings = st.dictionaries(st.sampled_from(parts), anything, max_size=4)
bodies = st.dictionaries(st.sampled_from(names), anything | some_settings, max_size=5) | st.fixed_dictionaries(
    {"kind": st.just("image_to_video"), "settings": some_settings, "metadata": anything}
)

SLOW_AND_SHARED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]  # too slow is a machine that is busy


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=SLOW_AND_SHARED)
@given(body=bodies)
@pytest.mark.parametrize("path", ["/jobs", "/framings", "/api-keys", "/members", "/brands", "/products"])
def test_any_json_is_answered(admin_api: Api, path: str, body: Any) -> None:
    answer = admin_api.post(path, body)
    assert answer.status_code < 500, body
