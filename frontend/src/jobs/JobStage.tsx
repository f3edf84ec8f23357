import { useQueryClient } from "@tanstack/react-query";
import { keys } from "../api/keys";
import { stableUrl } from "../api/stableUrl";
import type { Job } from "../api/types";
import { isActive } from "../feed/reduce";
import { panelOf } from "../kinds";
import { ProgressBar } from "../ui/controls";
import { useCountdown } from "../ui/hooks";
import { Icon } from "../ui/Icon";
import { Player } from "./Player";
import { activity, progressText } from "./words";

/** The video, or how far it has come, in its own format. */
export function JobStage({ job, aspect }: { job: Job; aspect: number }) {
  const cache = useQueryClient();
  const askAgain = () => cache.invalidateQueries({ queryKey: keys.job(job.id) });
  const result = job.result?.asset;
  const fps = panelOf(job.kind)?.fps({ ...job.settings, ...job.result?.settings }) ?? 24;
  const shape = result ? result.width / result.height : aspect;
  return (
    <section className="job-stage" aria-label="Video">
      <div
        className="job-frame"
        style={{ aspectRatio: String(shape), "--aspect": shape } as React.CSSProperties}
      >
        {result ? (
          <Player key={result.id} asset={result} fps={fps} askAgain={askAgain} />
        ) : (
          <Unfinished job={job} />
        )}
      </div>
      {isActive(job) && <LiveProgress job={job} />}
    </section>
  );
}

function Unfinished({ job }: { job: Job }) {
  const source = job.source_asset;
  const still = job.preview_url ?? (source && stableUrl(`content ${source.id}`, source.urls.content));
  const look = job.preview_url ? "unfinished-preview" : "unfinished-photo";
  return (
    <div className={`unfinished ${isActive(job) ? "" : "unfinished-off"}`}>
      {still && (
        <img
          className={look}
          src={still}
          alt={job.preview_url ? "Preview of the video" : ""}
          data-testid="preview"
        />
      )}
      {!isActive(job) && (
        <span className="unfinished-mark">
          <Icon name={job.state === "canceled" ? "stop" : "alert"} size={32} />
        </span>
      )}
    </div>
  );
}

function LiveProgress({ job }: { job: Job }) {
  const left = useCountdown(job.eta_seconds);
  // Read aloud only in quarters: every percent would never stop talking.
  const spoken = `${activity(job)}${job.state === "running" ? `, ${Math.floor(job.progress * 4) * 25} percent` : ""}`;
  return (
    <div className="live" data-testid="live-progress">
      <div className="live-text">
        <strong>{activity(job)}</strong>
        <span>{progressText(job, left)}</span>
      </div>
      <ProgressBar value={job.progress} waiting={job.state === "queued"} label="Progress of the video" />
      <p className="unseen" role="status">
        {spoken}
      </p>
    </div>
  );
}
