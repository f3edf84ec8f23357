import { useEffect, useRef, useState } from "react";
import { forgetUrl, stableUrl } from "./stableUrl";

/** How a file that is on the page is doing; `attempt` grows with each new try to load it. */
export interface Loading {
  url: string;
  attempt: number;
  state: "shown" | "asking" | "failed";
}

export const loading = (url: string): Loading => ({ url, attempt: 0, state: "shown" });

const tried = (now: Loading, url: string): Loading => ({ url, attempt: now.attempt + 1, state: "shown" });

/** It did not load: a newer address is tried at once; where there is none, it is asked for. */
export function broken(now: Loading, newest: string): Loading {
  return newest === now.url ? { ...now, state: "asking" } : tried(now, newest);
}

/** What loads well stays as it is, whatever address arrives. */
export function offered(now: Loading, newest: string): Loading {
  return now.state === "shown" || newest === now.url ? now : tried(now, newest);
}

/** The question was answered: with another address, or with the one that does not load. */
export function answered(now: Loading, newest: string): Loading {
  if (now.state !== "asking") return now;
  return newest === now.url ? { ...now, state: "failed" } : tried(now, newest);
}

/** Tries the address of a file again: after an error, when a newer one arrives, and when the member asks for it. */
export function useFile(key: string, latest: string, askAgain: () => Promise<unknown>) {
  const [now, setNow] = useState(() => loading(stableUrl(key, latest)));
  const newest = useRef(latest);
  newest.current = latest;
  useEffect(() => setNow((now) => offered(now, latest)), [latest]);
  const onError = () => {
    forgetUrl(key);
    const next = broken(now, newest.current);
    setNow(next);
    if (next.state !== "asking") return;
    const settle = () => setNow((now) => answered(now, newest.current));
    askAgain().then(settle, settle);
  };
  const retry = () => setNow((now) => tried(now, newest.current));
  return { ...now, onError, retry };
}
