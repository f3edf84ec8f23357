import { useState } from "react";
import { ApiError } from "../api/client";
import { useJob } from "../api/queries";
import type { Job } from "../api/types";
import { useLookOnly } from "../app/member";
import { Link } from "../app/router";
import { isActive } from "../feed/reduce";
import { panelOf } from "../kinds";
import { Confirm } from "../ui/Confirm";
import { Button } from "../ui/controls";
import { ago, facts } from "../ui/format";
import { useNow, useTitle } from "../ui/hooks";
import { Icon } from "../ui/Icon";
import { Callout, Empty, LoadFailed } from "../ui/messages";
import { useJobActions } from "./actions";
import { JobDetails } from "./JobDetails";
import { JobStage } from "./JobStage";
import { activity, advice, photoIsGone, summary, title, videoIsGone } from "./words";

export function JobPage({ id }: { id: string }) {
  const query = useJob(id);
  useTitle(query.data ? title(query.data) : "Video");
  if (query.data) return <JobView job={query.data} />;
  if (query.isPending) return <JobSkeleton />;
  if (query.error instanceof ApiError && [400, 404].includes(query.error.status)) return <NoSuchVideo />;
  return <LoadFailed error={query.error} retry={() => query.refetch()} />;
}

function JobView({ job }: { job: Job }) {
  const panel = panelOf(job.kind);
  const now = useNow(30_000);
  return (
    <article className="job" data-state={job.state}>
      <header className="job-head">
        <Link className="back" href="/videos">
          <Icon name="back" /> Videos
        </Link>
        <h1 dir="auto">{title(job)}</h1>
        <p className="muted">{facts(summary(job), ago(job.created_at, now))}</p>
      </header>
      <JobStage job={job} aspect={panel?.aspect(job.settings) ?? 1} />
      <aside className="job-side" aria-label="About this video">
        <Trouble job={job} />
        {photoIsGone(job) && (
          <Callout title="The photo was deleted">
            So this video cannot be made again or varied. “Use these settings” works with another photo.
          </Callout>
        )}
        <Actions job={job} />
        {job.notices.map((notice) => (
          <Callout key={notice.code + notice.message} tone="warn">
            {notice.message}
          </Callout>
        ))}
        <JobDetails job={job} />
      </aside>
    </article>
  );
}

function Trouble({ job }: { job: Job }) {
  if (videoIsGone(job)) {
    return (
      <Callout title="The video was deleted">
        {photoIsGone(job)
          ? "Its settings are still here."
          : "Its settings are still here: start it again to make it anew."}
      </Callout>
    );
  }
  if (job.state === "canceled") return <Callout title="Canceled">Nothing was kept of this video.</Callout>;
  if (job.state !== "failed" && job.state !== "expired") return null;
  return (
    <Callout tone="error" title={job.error?.message ?? activity(job)}>
      {advice(job)}
      {job.error && <div className="muted mono">{job.error.code}</div>}
    </Callout>
  );
}

function Actions({ job }: { job: Job }) {
  const actions = useJobActions(job);
  const lookOnly = useLookOnly();
  const again = !photoIsGone(job);
  const [asking, setAsking] = useState(false);
  if (isActive(job)) {
    return (
      <div className="job-actions">
        {lookOnly ? (
          <p className="small muted job-wide">{lookOnly}</p>
        ) : (
          <Button className="job-wide" icon="stop" busy={actions.canceling} onClick={() => setAsking(true)}>
            {actions.canceling ? "Canceling" : "Cancel"}
          </Button>
        )}
        <Button look="quiet" icon="settings" onClick={actions.use}>
          Use these settings
        </Button>
        {asking && (
          <Confirm
            title="Cancel this video?"
            action="Cancel video"
            onClose={() => setAsking(false)}
            onConfirm={() => {
              setAsking(false);
              void actions.cancel();
            }}
          >
            What was made so far is lost. The settings stay, so that you can start it again.
          </Confirm>
        )}
      </div>
    );
  }
  const done = job.state === "succeeded";
  const video = job.result?.asset ?? null;
  return (
    <div className="job-actions">
      {video && (
        <a className="button button-primary button-large job-download" href={video.urls.download} download>
          <Icon name="download" /> <span>Download MP4</span>
        </a>
      )}
      {lookOnly !== null && <p className="small muted job-wide">{lookOnly}</p>}
      {lookOnly === null && again && (
        <>
          <Button
            look={done ? "plain" : "primary"}
            icon="again"
            disabled={actions.starting}
            onClick={actions.again}
          >
            Again
          </Button>
          {actions.vary && (
            <Button
              icon="dice"
              disabled={actions.starting}
              onClick={actions.vary}
              title="The same settings with a new seed"
            >
              Vary
            </Button>
          )}
        </>
      )}
      <Button look="quiet" icon="settings" onClick={actions.use}>
        Use these settings
      </Button>
      {lookOnly === null && video && (
        <DeleteVideo busy={actions.deleting} onDelete={() => actions.deleteVideo(video.id)} />
      )}
    </div>
  );
}

function DeleteVideo({ busy, onDelete }: { busy: boolean; onDelete: () => Promise<void> }) {
  const [asking, setAsking] = useState(false);
  return (
    <>
      <Button look="quiet" icon="trash" busy={busy} onClick={() => setAsking(true)}>
        Delete video
      </Button>
      {asking && (
        <Confirm
          title="Delete this video?"
          action="Delete video"
          onClose={() => setAsking(false)}
          onConfirm={() => {
            setAsking(false);
            void onDelete();
          }}
        >
          The file goes for good, for everybody in this workspace. The settings stay.
        </Confirm>
      )}
    </>
  );
}

const NoSuchVideo = () => (
  <Empty
    icon="film"
    title="There is no such video"
    action={
      <Link className="button button-primary" href="/videos">
        All videos
      </Link>
    }
  >
    It may belong to another workspace, or the address is mistyped.
  </Empty>
);

const JobSkeleton = () => (
  <div className="job" role="status" aria-label="Loading the video">
    <div className="job-head">
      <div className="skeleton skeleton-line" />
    </div>
    <div className="job-stage skeleton" />
    <div className="job-side">
      <div className="skeleton" style={{ height: 48 }} />
      <div className="skeleton" style={{ height: 240 }} />
    </div>
  </div>
);
