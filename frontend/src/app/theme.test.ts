import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { chooseTheme, storedTheme, subscribeTheme, systemIsDark } from "./theme";

const dataset: { theme?: string } = {};
const system = Object.assign(new EventTarget(), { matches: false });
let stored: string | null;

beforeEach(() => {
  stored = null;
  system.matches = false;
  vi.stubGlobal("localStorage", {
    getItem: () => stored,
    setItem: (_: string, value: string) => (stored = value),
  });
  vi.stubGlobal("document", { documentElement: { dataset } });
  vi.stubGlobal("window", { matchMedia: () => system });
});
afterEach(() => vi.unstubAllGlobals());

describe("the theme", () => {
  it("is one for the whole page: a choice in one place is told to the other", () => {
    const told: string[] = [];
    const stop = [1, 2].map((place) => subscribeTheme(() => told.push(`${place} ${storedTheme()}`)));
    chooseTheme("dark");
    expect([told, dataset.theme]).toEqual([["1 dark", "2 dark"], "dark"]);
    for (const end of stop) end();
    chooseTheme("system");
    expect([told.length, dataset.theme]).toEqual([2, undefined]);
  });

  it("follows the system when that changes", () => {
    const told: boolean[] = [];
    const stop = subscribeTheme(() => told.push(systemIsDark()));
    system.matches = true;
    system.dispatchEvent(new Event("change"));
    stop();
    system.dispatchEvent(new Event("change"));
    expect(told).toEqual([true]);
  });
});
