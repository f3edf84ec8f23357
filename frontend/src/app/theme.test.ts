import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { wishedWorkspace, wishForWorkspace } from "./session";
import { applyTheme, chooseTheme, storedTheme, subscribeTheme, systemIsDark } from "./theme";

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

  it("needs no store: where that is forbidden, the choice lasts as long as the page", () => {
    const forbidden = () => {
      throw new DOMException("The operation is insecure.", "SecurityError");
    };
    vi.stubGlobal("localStorage", { getItem: forbidden, setItem: forbidden });
    applyTheme();
    expect([storedTheme(), dataset.theme]).toEqual(["system", undefined]);
    chooseTheme("dark");
    expect([storedTheme(), dataset.theme]).toEqual(["dark", "dark"]);
    wishForWorkspace("w2");
    expect(wishedWorkspace()).toBe("w2");
    vi.stubGlobal("localStorage", { getItem: () => null, setItem: () => undefined });
    chooseTheme("system");
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
