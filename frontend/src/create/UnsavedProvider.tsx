import { createContext, type ReactNode, useContext, useEffect, useState, useSyncExternalStore } from "react";
import { useConnection } from "../feed/FeedProvider";
import { useAskBeforeLeaving } from "../ui/hooks";
import { UnsavedMasks } from "./unsaved";

const UnsavedContext = createContext<UnsavedMasks | null>(null);

export function useUnsaved(): UnsavedMasks {
  const unsaved = useContext(UnsavedContext);
  if (!unsaved) throw new Error("useUnsaved outside of UnsavedProvider");
  return unsaved;
}

/** Above all pages, so that a mask that could not be sent is tried again whichever page is shown. */
export function UnsavedProvider({ children }: { children: ReactNode }) {
  const [unsaved] = useState(() => new UnsavedMasks());
  const count = useSyncExternalStore(unsaved.subscribe, unsaved.count, unsaved.count);
  useAskBeforeLeaving(count > 0);
  const connection = useConnection();
  useEffect(() => {
    if (connection === "open") unsaved.retry();
  }, [connection, unsaved]);
  useEffect(() => {
    window.addEventListener("online", unsaved.retry);
    return () => window.removeEventListener("online", unsaved.retry);
  }, [unsaved]);
  return <UnsavedContext.Provider value={unsaved}>{children}</UnsavedContext.Provider>;
}
