/**
 * Signed addresses change with every answer although the bytes do not. Showing the newest one each time
 * would make every refetch reload every picture, so the first address of a file is kept until it nears its end.
 */
const LIFETIME_MS = 40 * 60 * 1000;

const kept = new Map<string, { url: string; until: number }>();

export function stableUrl(key: string, url: string, now: number = Date.now()): string {
  const known = kept.get(key);
  if (known && known.until > now) return known.url;
  kept.set(key, { url, until: now + LIFETIME_MS });
  return url;
}

export function forgetUrl(key: string): void {
  kept.delete(key);
}
