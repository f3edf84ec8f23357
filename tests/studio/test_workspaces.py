"""Tenancy: keys open their own workspace only, roles rank, foreign ids do not exist."""

import pytest

from studio.accounts.models import User
from studio.brands.access import access_product
from studio.brands.models import Brand, Product
from studio.jobs.identity import is_still_valid
from studio.workspaces.access import Actor, Forbidden, NotFound, key_actor, member_actor
from studio.workspaces.models import ApiKey, Membership, Role, Workspace
from studio.workspaces.services import create_api_key, create_workspace, revoke_api_key, verify_api_key

pytestmark = pytest.mark.django_db


@pytest.fixture
def ana() -> User:
    return User.objects.create_user("ana@example.com")


@pytest.fixture
def home(ana: User) -> Workspace:
    return create_workspace("Home", "home", owner=ana)


@pytest.fixture
def abroad() -> Workspace:
    return create_workspace("Abroad", "abroad", owner=User.objects.create_user("bo@example.com"))


def product_in(workspace: Workspace) -> Product:
    brand = Brand.objects.create(workspace=workspace, name="Brand")
    return Product.objects.create(workspace=workspace, brand=brand, name="Bottle")


def test_a_key_opens_its_workspace(home: Workspace) -> None:
    key, text = create_api_key(home, "shop")
    found = verify_api_key(text)
    assert found == key
    assert text.startswith(f"aq_{key.prefix}_")
    assert key_actor(key).workspace == home
    assert ApiKey.objects.get().last_used_at is not None


def test_the_secret_is_not_stored(home: Workspace) -> None:
    _, text = create_api_key(home, "shop")
    assert text.split("_", 2)[2] not in str(ApiKey.objects.values().get())


@pytest.mark.parametrize(
    "spoil", [lambda t: t[:-1] + "!", lambda t: t.replace("aq_", "ak_"), lambda t: "", lambda t: "aq_", lambda t: t * 9]
)
def test_a_wrong_key_opens_nothing(home: Workspace, spoil) -> None:
    _, text = create_api_key(home, "shop")
    assert verify_api_key(spoil(text)) is None


def test_a_revoked_key_opens_nothing(home: Workspace) -> None:
    key, text = create_api_key(home, "shop")
    revoke_api_key(key)
    assert verify_api_key(text) is None


@pytest.mark.parametrize(
    ("now", "acts_as"), [(Role.OWNER, Role.ADMIN), (Role.ADMIN, Role.ADMIN), (Role.VIEWER, Role.VIEWER)]
)
def test_a_key_may_no_more_than_its_maker_may_now(home: Workspace, ana: User, now: Role, acts_as: Role) -> None:
    key, text = create_api_key(home, "shop", role=Role.ADMIN, created_by=ana)
    Membership.objects.update(role=now)
    assert verify_api_key(text) == key
    assert key_actor(key).role == acts_as


def removed(ana: User) -> None:
    Membership.objects.filter(user=ana).delete()
    create_workspace("Elsewhere", "elsewhere", owner=ana)


def shut_out(ana: User) -> None:
    User.objects.filter(pk=ana.pk).update(is_active=False)


@pytest.mark.parametrize("part", [removed, shut_out])
def test_the_keys_of_who_has_left_open_nothing(home: Workspace, ana: User, part) -> None:
    key, text = create_api_key(home, "shop", role=Role.ADMIN, created_by=ana)
    _, of_the_shell = create_api_key(home, "shell", role=Role.ADMIN)
    listener = key_actor(key)
    part(ana)
    assert verify_api_key(text) is None
    assert not is_still_valid(listener)
    with pytest.raises(NotFound):
        key_actor(key)
    assert verify_api_key(of_the_shell) is not None


def test_each_role_may_what_those_below_it_may(home: Workspace) -> None:
    allowed = {role.value: [other.value for other in Role if Actor(home, role).may(other)] for role in Role}
    assert allowed == {
        "viewer": ["viewer"],
        "reviewer": ["viewer", "reviewer"],
        "editor": ["viewer", "reviewer", "editor"],
        "admin": ["viewer", "reviewer", "editor", "admin"],
        "owner": ["viewer", "reviewer", "editor", "admin", "owner"],
    }


def test_a_row_of_another_workspace_does_not_exist(ana: User, home: Workspace, abroad: Workspace) -> None:
    actor = member_actor(ana)
    assert access_product(actor, product_in(home).id).workspace == home  # the control: an own row is found
    with pytest.raises(NotFound):
        access_product(actor, product_in(abroad).id)


def test_what_is_no_id_does_not_exist(ana: User, home: Workspace) -> None:
    with pytest.raises(NotFound):
        access_product(member_actor(ana), "not-an-id")


def test_a_foreign_row_is_not_found_before_it_is_forbidden(home: Workspace, abroad: Workspace) -> None:
    viewer = Actor(home, Role.VIEWER)
    with pytest.raises(Forbidden):
        access_product(viewer, product_in(home).id, role="editor")
    with pytest.raises(NotFound):
        access_product(viewer, product_in(abroad).id, role="editor")


def test_a_user_acts_in_the_asked_for_workspace_or_the_first(ana: User, home: Workspace, abroad: Workspace) -> None:
    Membership.objects.create(workspace=abroad, user=ana, role=Role.VIEWER)
    assert member_actor(ana).role == Role.OWNER
    assert member_actor(ana, str(abroad.id)).role == Role.VIEWER


def test_a_stranger_acts_nowhere(ana: User, abroad: Workspace) -> None:
    with pytest.raises(NotFound):
        member_actor(ana, abroad.id)
    with pytest.raises(NotFound):
        member_actor(ana)
