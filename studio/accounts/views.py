"""The one page outside the API that changes anything: opening a sign-in link."""

from django.contrib.auth import login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from studio.accounts.services import use_sign_in_link


@never_cache
@require_GET
def sign_in(request: HttpRequest, token: str) -> HttpResponse:
    user = use_sign_in_link(token)
    if user is not None:
        login(request, user)
        return redirect("/")
    if request.user.is_authenticated:
        return redirect("/")
    return render(request, "sign_in_link_spent.html", status=410)
