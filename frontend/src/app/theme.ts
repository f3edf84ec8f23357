import { useState } from "react";

export type Theme = "system" | "light" | "dark";

const STORE = "aquarius.theme";
const THEMES: Theme[] = ["system", "light", "dark"];

function stored(): Theme {
  const value = localStorage.getItem(STORE) as Theme | null;
  return value && THEMES.includes(value) ? value : "system";
}

/** "system" leaves the choice to prefers-color-scheme. */
export function applyTheme(theme: Theme = stored()): void {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

export function useTheme(): [Theme, (theme: Theme) => void] {
  const [theme, setTheme] = useState(stored);
  return [
    theme,
    (next) => {
      localStorage.setItem(STORE, next);
      applyTheme(next);
      setTheme(next);
    },
  ];
}
