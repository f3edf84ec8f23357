"""The job row is the truth: state, lease, attempt and fence are decided on it and nowhere else."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from studio.accounts.models import User
from studio.ids import new_id
from studio.workspaces.models import ApiKey, WorkspaceOwned


class State(models.TextChoices):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    EXPIRED = "expired"

    @property
    def is_terminal(self) -> bool:
        return self in TERMINAL


TERMINAL = (State.SUCCEEDED, State.FAILED, State.CANCELED, State.EXPIRED)


class Job(WorkspaceOwned):
    """One piece of work of a registered kind (see `kinds`). Change it through `services` only.

    Times of the lease are the database's clock. `fence` grows by one at each claim: a worker writes only
    `WHERE fence = mine AND state = 'running'` (see `lease.held`).
    """

    kind = models.CharField(max_length=60)
    queue = models.CharField(max_length=40)
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    settings = models.JSONField()
    metadata = models.JSONField(default=dict, blank=True)

    priority = models.SmallIntegerField(default=0)
    deadline = models.DateTimeField(null=True, blank=True)
    available_at = models.DateTimeField(db_default=Now())

    lease_owner = models.UUIDField(null=True, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    attempt = models.PositiveSmallIntegerField(default=0)
    max_attempts = models.PositiveSmallIntegerField(default=3)
    fence = models.PositiveBigIntegerField(default=0)
    cancel_requested = models.BooleanField(default=False)

    stage = models.CharField(max_length=40, null=True, blank=True)
    progress = models.FloatField(default=0.0)
    eta_seconds = models.FloatField(null=True, blank=True)
    notices = models.JSONField(default=list, blank=True)
    preview = models.CharField(max_length=200, null=True, blank=True)
    error = models.JSONField(null=True, blank=True)
    result = models.JSONField(null=True, blank=True)
    model = models.JSONField(null=True, blank=True)
    last_seq = models.PositiveIntegerField(default=0)

    idempotency_key = models.CharField(max_length=255, null=True, blank=True)
    idempotency_hash = models.CharField(max_length=64, null=True, blank=True)

    created_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    claimed_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(state__in=State.values), name="jobs_state_known"),
            models.UniqueConstraint(fields=["workspace", "idempotency_key"], name="jobs_one_job_per_idempotency_key"),
        ]
        indexes = [
            models.Index(
                fields=["queue", "-priority", "created_at"], condition=Q(state=State.QUEUED), name="jobs_waiting"
            ),
            models.Index(fields=["lease_expires_at"], condition=Q(state=State.RUNNING), name="jobs_leased"),
            models.Index(fields=["workspace", "-created_at", "-id"], name="jobs_newest_of_workspace"),
            models.Index(fields=["queue", "workspace", "-claimed_at"], name="jobs_last_served"),
            models.Index(fields=["kind", "-finished_at"], name="jobs_recent_of_kind"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.id} ({self.state})"


class JobEvent(WorkspaceOwned):
    """One entry of a job's append-only log. `seq` counts from 1 without gaps."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="events")
    seq = models.PositiveIntegerField()
    type = models.CharField(max_length=20)
    data = models.JSONField(default=dict)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering: ClassVar = ["job", "seq"]
        constraints = [
            models.UniqueConstraint(fields=["job", "seq"], name="jobs_event_seq"),
            # The last line of defence: the database itself refuses a second end.
            models.UniqueConstraint(fields=["job"], condition=Q(type__in=TERMINAL), name="jobs_one_terminal_event"),
        ]
        indexes = [models.Index(fields=["created_at"], name="jobs_event_age")]

    def __str__(self) -> str:
        return f"{self.job_id} #{self.seq} {self.type}"


class Outbox(models.Model):
    """A message to be published, written in the transaction that makes it true.

    It belongs to no workspace: what it tells of does, and nobody reads it but the sweeper. Its number is a plain one,
    because messages go out in the order in which they were written.
    """

    topic = models.CharField(max_length=40)
    payload = models.JSONField()
    created_at = models.DateTimeField(db_default=Now())
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["id"], condition=Q(sent_at=None), name="jobs_outbox_unsent")]

    def __str__(self) -> str:
        return f"{self.topic} {self.payload}"


class WorkerRow(models.Model):
    """A worker process, as its heartbeat last saw it. Writing `desired` starts and drains it.

    It belongs to no workspace: it works for all.
    """

    class Desired(models.TextChoices):
        RUN = "run"
        DRAIN = "drain"  # finish the job at hand, claim no other

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    queue = models.CharField(max_length=40)
    host = models.CharField(max_length=200)
    pid = models.PositiveIntegerField()
    desired = models.CharField(max_length=10, choices=Desired.choices, db_default=Desired.RUN)
    started_at = models.DateTimeField(db_default=Now())
    heartbeat_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "jobs_worker"

    def __str__(self) -> str:
        return f"{self.queue} worker {self.pid} on {self.host}"


class FeedTicket(WorkspaceOwned):
    """A one-use pass to the feed for a client that has no session cookie. Only its hash is kept."""

    hash = models.CharField(max_length=64, unique=True)
    expires_at = models.DateTimeField()
    user = models.ForeignKey(User, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    api_key = models.ForeignKey(ApiKey, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
