import { useEffect, useRef, useState } from "react";
import { useJobs } from "../api/queries";
import type { Job } from "../api/types";
import { Link } from "../app/router";
import { generationFilter } from "../kinds";
import { Button, RadioGroup } from "../ui/controls";
import { useTitle } from "../ui/hooks";
import { Empty, LoadFailed } from "../ui/messages";
import { JobCard } from "./JobCard";

const FILTERS = [
  { value: "", label: "All" },
  { value: "queued,running", label: "In progress" },
  { value: "succeeded", label: "Finished" },
  { value: "failed,canceled,expired", label: "Not finished" },
];

/** Every video of the workspace, newest first, whoever started it and wherever. */
export function JobsPage() {
  useTitle("Videos");
  const [state, setState] = useState("");
  const list = useJobs(generationFilter(state));
  const jobs = list.data?.pages.flatMap((page) => page.results) ?? [];
  return (
    <>
      <div className="page-head">
        <h1>Videos</h1>
        <RadioGroup
          legend="Show"
          hideLegend
          look="tabs"
          className="filter"
          value={state}
          onChange={setState}
          choices={FILTERS}
        />
      </div>
      {list.isPending ? (
        <CardSkeletons />
      ) : list.isError && jobs.length === 0 ? (
        <LoadFailed error={list.error} retry={() => list.refetch()} />
      ) : jobs.length === 0 ? (
        <NoVideos filtered={state !== ""} onAll={() => setState("")} />
      ) : (
        <>
          <Cards jobs={jobs} />
          {list.hasNextPage && (
            <More
              busy={list.isFetchingNextPage}
              failed={list.isFetchNextPageError}
              onMore={() => void list.fetchNextPage({ cancelRefetch: false })}
            />
          )}
        </>
      )}
    </>
  );
}

const Cards = ({ jobs }: { jobs: Job[] }) => (
  <ul className="cards">
    {jobs.map((job) => (
      <li key={job.id}>
        <JobCard job={job} />
      </li>
    ))}
  </ul>
);

interface MoreProps {
  busy: boolean;
  failed: boolean;
  onMore: () => void;
}

/** Loads the next page when it comes near; the button stays for keyboards and after an error. */
function More({ busy, failed, onMore }: MoreProps) {
  const ref = useRef<HTMLDivElement>(null);
  const latest = useRef(onMore);
  latest.current = onMore;
  useEffect(() => {
    if (failed || busy || !ref.current) return;
    const observer = new IntersectionObserver(([entry]) => entry?.isIntersecting && latest.current(), {
      rootMargin: "600px",
    });
    observer.observe(ref.current);
    return () => observer.disconnect();
  }, [failed, busy]);
  return (
    <div className="more-jobs" ref={ref}>
      <Button onClick={onMore} busy={busy}>
        {failed ? "That did not work. Try again" : "Show older videos"}
      </Button>
    </div>
  );
}

function NoVideos({ filtered, onAll }: { filtered: boolean; onAll: () => void }) {
  if (filtered) {
    return (
      <Empty icon="film" title="No such videos" action={<Button onClick={onAll}>Show all</Button>}>
        No video of this workspace is in this state at the moment.
      </Empty>
    );
  }
  return (
    <Empty
      icon="film"
      title="No videos yet"
      action={
        <Link className="button button-primary" href="/">
          Create the first one
        </Link>
      }
    >
      Drop in a product photo, choose a camera move, and the finished video appears here.
    </Empty>
  );
}

const CardSkeletons = () => (
  <div className="cards" role="status" aria-label="Loading videos">
    {[1, 2, 3, 4, 5, 6, 7, 8].map((one) => (
      <div key={one} className="card">
        <div className="card-frame skeleton" />
        <div className="skeleton skeleton-line" />
      </div>
    ))}
  </div>
);
