import { useCallback, useEffect, useRef, useState } from "react";
import { useConnection } from "./FeedProvider";

/**
 * For pictures: one that did not load while the studio was away gets another `attempt`, its key, once it is back. The
 * browser asks for a picture once; its address stays the same.
 */
export function useRetried(): { attempt: number; onError: () => void } {
  const connection = useConnection();
  const failed = useRef(false);
  const [attempt, setAttempt] = useState(0);
  useEffect(() => {
    if (connection !== "open" || !failed.current) return;
    failed.current = false;
    setAttempt((now) => now + 1);
  }, [connection]);
  const onError = useCallback(() => {
    failed.current = true;
  }, []);
  return { attempt, onError };
}
