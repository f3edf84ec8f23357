const FIRST_MS = 400;
const LONGEST_MS = 10_000;

/** Milliseconds to wait before reconnect number `attempt` (0 is the first); `random` in 0..1 spreads clients. */
export function reconnectDelay(attempt: number, random: number): number {
  const longest = Math.min(LONGEST_MS, FIRST_MS * 2 ** attempt);
  return longest * (0.5 + 0.5 * random);
}
