import { useSyncExternalStore } from "react";
import { remember, remembered } from "./memory";

export type Theme = "system" | "light" | "dark";

const STORE = "aquarius.theme";
const THEMES: Theme[] = ["system", "light", "dark"];
const DARK = "(prefers-color-scheme: dark)";

const listeners = new Set<() => void>();

export function storedTheme(): Theme {
  const value = remembered(STORE) as Theme | null;
  return value && THEMES.includes(value) ? value : "system";
}

/** "system" leaves the choice to prefers-color-scheme. */
export function applyTheme(theme: Theme = storedTheme()): void {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

export function chooseTheme(theme: Theme): void {
  remember(STORE, theme);
  applyTheme(theme);
  for (const listener of listeners) listener();
}

export const systemIsDark = (): boolean => window.matchMedia(DARK).matches;

/** Told of a choice made anywhere on the page, and of the system's own turn from day to night. */
export function subscribeTheme(listener: () => void): () => void {
  const system = window.matchMedia(DARK);
  listeners.add(listener);
  system.addEventListener("change", listener);
  return () => {
    listeners.delete(listener);
    system.removeEventListener("change", listener);
  };
}

/** What is chosen, and whether the system is dark. */
export function useTheme(): { theme: Theme; system: "light" | "dark" } {
  const theme = useSyncExternalStore(subscribeTheme, storedTheme);
  const dark = useSyncExternalStore(subscribeTheme, systemIsDark);
  return { theme, system: dark ? "dark" : "light" };
}
