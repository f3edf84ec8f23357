/** How the page writes times, sizes and numbers. */

export function clock(seconds: number): string {
  const whole = Math.max(0, seconds);
  const minutes = Math.floor(whole / 60);
  const rest = whole - minutes * 60;
  return `${minutes}:${rest.toFixed(1).padStart(4, "0")}`;
}

/** "about 20 seconds", rounded so that it does not flicker. */
export function timeLeft(seconds: number): string {
  if (seconds < 1.5) return "a moment left";
  if (seconds < 10) return `${Math.round(seconds)} s left`;
  if (seconds < 90) return `about ${Math.ceil(seconds / 5) * 5} s left`;
  return `about ${Math.round(seconds / 60)} min left`;
}

export function ago(iso: string, now: number): string {
  const seconds = (now - Date.parse(iso)) / 1000;
  if (seconds < 45) return "just now";
  if (seconds < 3600) return `${Math.max(1, Math.round(seconds / 60))} min ago`;
  if (seconds < 86_400) return `${Math.round(seconds / 3600)} h ago`;
  return new Date(iso).toLocaleDateString(undefined, { day: "numeric", month: "short", year: "numeric" });
}

export function fileSize(bytes: number): string {
  if (bytes < 1_000_000) return `${Math.max(1, Math.round(bytes / 1000))} kB`;
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}

/** A limit, as the studio itself words it. */
export const megabytes = (bytes: number): string => `${Math.floor(bytes / 1024 ** 2)} MB`;

/** Short facts in one line. En spaces, because the font draws the dot close to its neighbours. */
export const facts = (...all: (string | null | undefined | false)[]): string =>
  all.filter(Boolean).join("\u2002·\u2002");

/** A fact that no line breaks inside of. */
export const whole = (fact: string): string => fact.replaceAll(" ", "\u00a0");

/** Characters as the server counts them: an emoji is one, not two. */
export const characters = (text: string): number => Array.from(text).length;

export const percent = (fraction: number): string => `${Math.round(fraction * 100)} %`;
