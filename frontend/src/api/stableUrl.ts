/**
 * Signed addresses change with every answer although the bytes do not. Showing the newest one each time
 * would make every refetch reload every picture, so the first address of a file is kept until it nears its end.
 */
const NEAR_END_MS = 5 * 60 * 1000;

const kept = new Map<string, { url: string; until: number }>();

export function stableUrl(key: string, url: string, now: number = Date.now()): string {
  const until = goodUntil(url);
  const known = kept.get(key);
  if (known && (known.until - now > NEAR_END_MS || known.until >= (until ?? 0))) return known.url;
  if (until !== null) kept.set(key, { url, until });
  return url;
}

export function forgetUrl(key: string): void {
  kept.delete(key);
}

/** When a signed address ends, in ms since 1970: it says so itself, `/media/<hex seconds>.…/name`. */
function goodUntil(url: string): number | null {
  const seconds = /\/media\/([0-9a-f]+)\.[^/]*\/[^/]*$/.exec(url)?.[1];
  return seconds === undefined ? null : Number.parseInt(seconds, 16) * 1000;
}
