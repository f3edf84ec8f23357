import { useQueryClient } from "@tanstack/react-query";
import { createContext, type ReactNode, useContext, useEffect, useRef, useState } from "react";
import { type Connection, FeedSocket } from "./socket";
import { FeedSync } from "./sync";

const ConnectionContext = createContext<Connection>("connecting");

export const useConnection = (): Connection => useContext(ConnectionContext);

function feedAddress(workspace: string): string {
  const scheme = window.location.protocol === "https:" ? "wss" : "ws";
  return `${scheme}://${window.location.host}/ws/v1/feed?workspace=${workspace}`;
}

interface FeedProps {
  workspace: string;
  /** The feed takes this page for one of nobody, or of nobody in this workspace. */
  onRefused: () => void;
  children: ReactNode;
}

/** Holds the page's one live connection while a member is signed in. */
export function FeedProvider({ workspace, onRefused, children }: FeedProps) {
  const refused = useRef(onRefused);
  refused.current = onRefused;
  const cache = useQueryClient();
  const [connection, setConnection] = useState<Connection>("connecting");

  useEffect(() => {
    const sync = new FeedSync(cache, (message) => socket.send(message));
    const socket: FeedSocket = new FeedSocket(feedAddress(workspace), {
      onHello: () => sync.opened(),
      onRefused: () => refused.current(),
      onMessage: (message) => sync.receive(message),
      onConnection: setConnection,
    });
    let timer: number | undefined;
    const unsubscribe = cache.getQueryCache().subscribe((change) => {
      if (change.query.queryKey[0] !== "jobs" || timer !== undefined) return;
      timer = window.setTimeout(() => {
        timer = undefined;
        sync.watchActive();
      }, 20);
    });
    return () => {
      unsubscribe();
      sync.stop();
      window.clearTimeout(timer);
      socket.stop();
    };
  }, [cache, workspace]);

  return <ConnectionContext.Provider value={connection}>{children}</ConnectionContext.Provider>;
}
