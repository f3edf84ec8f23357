import { createContext, type ReactNode, useContext, useEffect, useSyncExternalStore } from "react";
import { useConnection } from "../feed/FeedProvider";
import type { UnsavedMasks } from "./unsaved";

const RETRY_MS = 15_000;

const UnsavedContext = createContext<UnsavedMasks | null>(null);

export function useUnsaved(): UnsavedMasks {
  const unsaved = useContext(UnsavedContext);
  if (!unsaved) throw new Error("useUnsaved outside of UnsavedProvider");
  return unsaved;
}

/** Above all pages, so that a mask that could not be sent is tried again whichever page is shown. */
export function UnsavedProvider({ masks, children }: { masks: UnsavedMasks; children: ReactNode }) {
  const waiting = useSyncExternalStore(masks.subscribe, masks.count, masks.count) > 0;
  const connection = useConnection();
  useEffect(() => {
    if (connection === "open") masks.retry();
  }, [connection, masks]);
  useEffect(() => {
    if (!waiting) return;
    // The feed may have been there all the time, while the studio could not save.
    const timer = window.setInterval(masks.retry, RETRY_MS);
    window.addEventListener("online", masks.retry);
    return () => {
      window.clearInterval(timer);
      window.removeEventListener("online", masks.retry);
    };
  }, [waiting, masks]);
  return <UnsavedContext.Provider value={masks}>{children}</UnsavedContext.Provider>;
}
