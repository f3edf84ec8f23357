import { Fragment, useRef } from "react";
import { stableUrl } from "../api/stableUrl";
import type { Job } from "../api/types";
import { Link } from "../app/router";
import { isActive } from "../feed/reduce";
import { useRetried } from "../feed/useRetried";
import { ProgressBar } from "../ui/controls";
import { ago, facts } from "../ui/format";
import { useCountdown, useNow } from "../ui/hooks";
import { Icon } from "../ui/Icon";
import { activity, progressText, summary, title, videoIsGone } from "./words";

/** One video in the list: what it shows, what it is, and how far it has come. */
export function JobCard({ job }: { job: Job }) {
  const now = useNow(30_000);
  const gone = videoIsGone(job);
  const unfinished = !isActive(job) && job.state !== "succeeded";
  return (
    <Link className="card" href={`/videos/${job.id}`} data-state={job.state} data-job={job.id}>
      <div className="card-frame">
        <Picture job={job} />
        {(gone || unfinished) && (
          <span className={gone || job.state === "canceled" ? "state-chip" : "state-chip state-chip-bad"}>
            {unfinished && job.state !== "canceled" && <Icon name="alert" size={16} />}
            {gone ? "Deleted" : activity(job)}
          </span>
        )}
        {isActive(job) && <CardProgress job={job} />}
      </div>
      <span className="card-title" dir="auto">
        {title(job)}
      </span>
      <span className="card-meta">{facts(summary(job), ago(job.created_at, now))}</span>
    </Link>
  );
}

/** The result's own still with a silent preview under the pointer; until then the newest preview, or the photo. */
function Picture({ job }: { job: Job }) {
  const video = useRef<HTMLVideoElement>(null);
  const { attempt, onError } = useRetried();
  const result = job.result?.asset;
  if (!result) {
    const source = job.source_asset;
    const still = job.preview_url ?? (source && stableUrl(`thumbnail ${source.id}`, source.urls.thumbnail));
    if (!still) return <span className="card-blank" />;
    return (
      <Fragment key={attempt}>
        <img className="card-back" src={still} alt="" onError={onError} />
        <img
          className={isActive(job) ? "card-picture card-picture-wait" : "card-picture card-picture-off"}
          src={still}
          alt=""
        />
      </Fragment>
    );
  }
  const poster = stableUrl(`thumbnail ${result.id}`, result.urls.thumbnail);
  return (
    <Fragment key={attempt}>
      <img className="card-back" src={poster} alt="" loading="lazy" onError={onError} />
      <video
        ref={video}
        className="card-picture"
        src={stableUrl(`content ${result.id}`, result.urls.content)}
        poster={poster}
        preload="none"
        muted
        loop
        playsInline
        onPointerEnter={() => {
          if (!window.matchMedia("(prefers-reduced-motion: reduce)").matches)
            void video.current?.play().catch(() => undefined);
        }}
        onPointerLeave={() => video.current?.pause()}
      />
    </Fragment>
  );
}

function CardProgress({ job }: { job: Job }) {
  const left = useCountdown(job.eta_seconds);
  return (
    <div className="card-progress">
      <span>{activity(job)}</span>
      <span className="card-progress-text">{progressText(job, left)}</span>
      <ProgressBar value={job.progress} waiting={job.state === "queued"} label="Progress" />
    </div>
  );
}
