import type { Job } from "../api/types";
import { panelOf } from "../kinds";
import { CopyButton } from "../ui/CopyButton";
import { fileSize } from "../ui/format";
import { timings } from "./words";

/** Everything that made this video what it is, so that it can be made again. */
export function JobDetails({ job }: { job: Job }) {
  const panel = panelOf(job.kind);
  const rows = panel?.rows(job.settings, job.result?.settings ?? null) ?? [];
  return (
    <div className="details">
      <h2>Settings</h2>
      <Rows rows={rows} />
      {job.result?.asset && (
        <>
          <h2>File</h2>
          <Rows rows={fileRows(job)} />
        </>
      )}
      {job.model && (
        <>
          <h2>Model</h2>
          <Rows rows={[["Name", `${job.model.name} ${job.model.version}`]]} />
          <CopyRow label="Digest" value={job.model.digest} />
        </>
      )}
      <h2>Job</h2>
      <CopyRow label="ID" value={job.id} />
      <Rows rows={jobRows(job)} />
    </div>
  );
}

function fileRows(job: Job): [string, string][] {
  const result = job.result;
  if (!result?.asset) return [];
  const { width, height, duration, bytes } = result.asset;
  const rows: [string, string][] = [
    ["Size", `${width} × ${height} px`],
    ["Length", duration === null ? "" : `${Number(duration.toFixed(2))} s`],
    ["File size", fileSize(bytes)],
    ["Made in", timings(result.timings ?? {})],
  ];
  return rows.filter(([, value]) => value !== "");
}

function jobRows(job: Job): [string, string][] {
  const rows: [string, string][] = [["Asked for", new Date(job.created_at).toLocaleString()]];
  if (job.started_at) rows.push(["Started", new Date(job.started_at).toLocaleString()]);
  if (job.finished_at) rows.push(["Ended", new Date(job.finished_at).toLocaleString()]);
  if (job.attempt > 1) rows.push(["Attempts", `${job.attempt} of ${job.max_attempts}`]);
  return rows;
}

const Rows = ({ rows }: { rows: [string, string][] }) => (
  <dl className="rows">
    {rows.map(([label, value]) => (
      <div key={label} className="row">
        <dt>{label}</dt>
        <dd dir="auto">{value}</dd>
      </div>
    ))}
  </dl>
);

const CopyRow = ({ label, value }: { label: string; value: string }) => (
  <dl className="rows">
    <div className="row row-copy">
      <dt>{label}</dt>
      <dd className="mono">{value}</dd>
      <CopyButton what={label === "ID" ? label : label.toLowerCase()} value={value} />
    </div>
  </dl>
);
