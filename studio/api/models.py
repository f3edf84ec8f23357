"""What the API itself remembers."""

from django.db import models
from django.db.models.functions import Now

from studio.ids import new_id


class FailedSignIn(models.Model):
    """A wrong password, counted for the address it was tried on and for where it came from. Only hashes are kept.

    It has no workspace: who guesses is in none, and the address may belong to nobody.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    who = models.CharField(max_length=64)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(fields=["who", "created_at"], name="api_failed_sign_ins")]

    def __str__(self) -> str:
        return f"{self.who[:8]} at {self.created_at}"
