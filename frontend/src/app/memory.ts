/** What is remembered where the browser keeps nothing: it lasts as long as the page. */
const here = new Map<string, string>();

/** What was remembered over visits; a browser may forbid that, and even to ask. */
export function remembered(name: string): string | null {
  const value = here.get(name);
  if (value !== undefined) return value;
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

export function remember(name: string, value: string): void {
  try {
    localStorage.setItem(name, value);
    here.delete(name);
  } catch {
    here.set(name, value);
  }
}
