/** Rows of a form that can be added and taken away: each keeps a key, so that the focus stays where it is. */
export type Keyed<T> = T & { key: number };

export const MOST_COLOURS = 12;
export const MOST_FACTS = 50;

let next = 1;

export const keyed = <T extends object>(row: T): Keyed<T> => ({ ...row, key: next++ });

export const filled = (text: string): boolean => text.trim() !== "";

export interface Fact {
  name: string;
  value: string;
}

/** What is sent: rows without a word are left out. */
export const factsOf = (rows: Fact[]): Record<string, string> =>
  Object.fromEntries(
    rows
      .filter((row) => filled(row.name) || filled(row.value))
      .map((row) => [row.name.trim(), row.value.trim()]),
  );

/** Why these facts cannot be kept as they are; null where they can. */
export function wrongWith(rows: Fact[]): string | null {
  const used = rows.filter((row) => filled(row.name) || filled(row.value));
  if (used.some((row) => !filled(row.name) || !filled(row.value)))
    return "Each fact needs a name and what is true, such as “volume” and “300 ml”.";
  const names = used.map((row) => row.name.trim());
  const twice = names.find((name, place) => names.indexOf(name) !== place);
  return twice === undefined ? null : `“${twice}” is there twice. Give each fact a name of its own.`;
}
