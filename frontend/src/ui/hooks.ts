import { type RefObject, useEffect, useRef, useState } from "react";

/** The element's inner size in CSS pixels; 0 x 0 until it was laid out. */
export function useSize<T extends HTMLElement>(): [RefObject<T | null>, { width: number; height: number }] {
  const ref = useRef<T>(null);
  const [size, setSize] = useState({ width: 0, height: 0 });
  useEffect(() => {
    const element = ref.current;
    if (!element) return;
    const observer = new ResizeObserver(([entry]) => {
      if (entry) setSize({ width: entry.contentRect.width, height: entry.contentRect.height });
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return [ref, size];
}

/** The value as it was when it had not changed for `ms`. */
export function useSettled<T>(value: T, ms: number): T {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = window.setTimeout(() => setSettled(value), ms);
    return () => window.clearTimeout(timer);
  }, [value, ms]);
  return settled;
}

/** The time, again every `ms`. */
export function useNow(ms: number): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = window.setInterval(() => setNow(Date.now()), ms);
    return () => window.clearInterval(timer);
  }, [ms]);
  return now;
}

/** Seconds left, counted down here between the server's words. */
export function useCountdown(eta: number | null): number | null {
  const [told, setTold] = useState({ eta, at: Date.now() });
  useEffect(() => setTold({ eta, at: Date.now() }), [eta]);
  const now = useNow(1000);
  return told.eta === null ? null : Math.max(0, told.eta - (now - told.at) / 1000);
}

/** A name for one attempt. Not crypto.randomUUID, which plain http in a local network lacks. */
export function attemptName(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Names the page in the browser's tab and history, and to who hears it. */
export function useTitle(page: string): void {
  useEffect(() => {
    document.title = `${page} · Aquarius Studio`;
  }, [page]);
}

/** For the first field of a form that opens at the press of a button: the button is gone, and the focus comes here. */
export function useFocusHere<T extends HTMLElement>() {
  const here = useRef<T>(null);
  useEffect(() => here.current?.focus(), []);
  return here;
}

/** Nothing is thrown away without a question: the browser asks in its own words whether to leave the page. */
export function useAskBeforeLeaving(active: boolean): void {
  useEffect(() => {
    if (!active) return;
    const ask = (event: BeforeUnloadEvent) => event.preventDefault();
    window.addEventListener("beforeunload", ask);
    return () => window.removeEventListener("beforeunload", ask);
  }, [active]);
}
