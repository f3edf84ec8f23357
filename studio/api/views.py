"""What every endpoint of a workspace shares."""

from typing import Any

from rest_framework.request import Request
from rest_framework.views import APIView

from studio.api.authentication import actor_of
from studio.api.parsers import refuse_unstorable
from studio.workspaces.access import Actor


class WorkspaceView(APIView):
    """An endpoint that acts in one workspace: `self.actor` is who asks.

    `role` is the least role that may use it at all; `access_*` functions ask for more where an object needs it.
    """

    role = "viewer"
    actor: Actor

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        self.actor = actor_of(request)
        self.actor.require(self.role)
        refuse_unstorable(request.query_params.dict())
