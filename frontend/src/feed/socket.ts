import type { JobEvent } from "../api/types";
import { reconnectDelay } from "./backoff";

export type FeedMessage =
  | { type: "hello"; workspace: string }
  | { type: "ping" }
  | { type: "events"; job_id: string; events: JobEvent[] }
  | { type: "job_changed"; job_id: string; state: string; kind?: string }
  | { type: "queue_moved"; queue: string }
  | { type: "error"; code: string; detail: string; job_id?: string; jobs?: string[] };

export type Connection = "connecting" | "open" | "lost";

interface Listener {
  /** The feed has let this page in. */
  onHello: () => void;
  /** The feed did not let this page in, or not any longer. */
  onRefused: () => void;
  onMessage: (message: FeedMessage) => void;
  onConnection: (state: Connection) => void;
}

/** No word for this long after the server once pinged means the connection is dead though it looks open. */
const SILENCE_MS = 50_000;

/** A connection that ends sooner was no success: the next try waits longer. */
const STEADY_MS = 5_000;

/** Not signed in, or not a member of the workspace; now or not any more. */
const REFUSED = [4401, 4403];

/** One WebSocket that comes back by itself until `stop`. */
export class FeedSocket {
  private socket: WebSocket | null = null;
  private attempt = 0;
  private timer: number | undefined;
  private silence: number | undefined;
  private steady: number | undefined;
  private stopped = false;

  constructor(
    private readonly url: string,
    private readonly listener: Listener,
  ) {
    window.addEventListener("online", this.now);
    window.addEventListener("offline", this.drop);
    document.addEventListener("visibilitychange", this.visible);
    this.connect();
  }

  send(message: unknown): void {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  stop(): void {
    this.stopped = true;
    window.removeEventListener("online", this.now);
    window.removeEventListener("offline", this.drop);
    document.removeEventListener("visibilitychange", this.visible);
    window.clearTimeout(this.timer);
    window.clearTimeout(this.silence);
    window.clearTimeout(this.steady);
    this.socket?.close();
  }

  private connect(): void {
    const socket = new WebSocket(this.url);
    this.socket = socket;
    socket.onmessage = (event) => {
      const message = JSON.parse(event.data as string) as FeedMessage;
      if (message.type === "hello") this.welcomed();
      if (message.type === "ping") this.expectMore();
      this.listener.onMessage(message);
    };
    socket.onclose = (event) => {
      if (this.socket !== socket) return;
      this.retry();
      if (REFUSED.includes(event.code)) this.listener.onRefused();
    };
  }

  /** Only now it works: a socket also opens for who is refused a moment later. */
  private welcomed(): void {
    this.steady = window.setTimeout(() => {
      this.attempt = 0;
    }, STEADY_MS);
    this.listener.onConnection("open");
    this.listener.onHello();
  }

  private retry(): void {
    this.socket = null;
    window.clearTimeout(this.silence);
    window.clearTimeout(this.steady);
    if (this.stopped) return;
    this.listener.onConnection("lost");
    this.timer = window.setTimeout(() => this.connect(), reconnectDelay(this.attempt, Math.random()));
    this.attempt += 1;
  }

  private expectMore(): void {
    window.clearTimeout(this.silence);
    this.silence = window.setTimeout(this.drop, SILENCE_MS);
  }

  private readonly drop = (): void => {
    const dead = this.socket;
    if (!dead) return;
    this.retry();
    dead.close();
  };

  private readonly now = (): void => {
    if (this.socket || this.stopped) return;
    window.clearTimeout(this.timer);
    this.connect();
  };

  private readonly visible = (): void => {
    if (document.visibilityState === "visible") this.now();
  };
}
