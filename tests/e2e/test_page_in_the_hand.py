"""What the page is like on a phone, also lying on its side."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

Visit = Callable[..., Page]


@pytest.mark.parametrize(("width", "height"), [(844, 390), (667, 375)])
def test_all_of_the_account_menu_can_be_reached_in_a_low_window(visit: Visit, width: int, height: int) -> None:
    page = visit("/videos", phone=True)
    page.set_viewport_size({"width": width, "height": height})
    page.get_by_label("Account").click()
    sign_out = page.get_by_role("button", name="Sign out")
    sign_out.scroll_into_view_if_needed()
    expect(sign_out).to_be_in_viewport(ratio=1)
    reached = """it => {
        const { x, y } = it.getBoundingClientRect();
        return it.contains(document.elementFromPoint(x + 8, y + 8));
    }"""
    assert sign_out.evaluate(reached)
