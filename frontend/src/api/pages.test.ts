import { describe, expect, it } from "vitest";
import { countOf, withFreshFirstPage } from "./pages";

/** Number 9 is newer than number 8. */
const row = (number: number, word = "old") => ({
  id: `0${number}`,
  created_at: `2026-01-01T00:00:0${number}Z`,
  word,
});
const page = (numbers: number[], next: string | null, word?: string) => ({
  results: numbers.map((number) => row(number, word)),
  next,
});
const loaded = { pages: [page([8, 7, 6], "c6"), page([5, 4, 3], "c3")], pageParams: ["", "c6"] };
const shown = (list: typeof loaded) => list.pages.map((one) => one.results.map((each) => Number(each.id)));

describe("a list whose first page is read again", () => {
  it("takes in what is new and keeps the pages that were loaded", () => {
    const fresh = withFreshFirstPage(loaded, page([9, 8, 7], "c7", "new"));
    expect(shown(fresh)).toEqual([
      [9, 8, 7, 6],
      [5, 4, 3],
    ]);
    expect(fresh.pages.map((one) => one.next)).toEqual(["c6", "c3"]);
    expect(fresh.pages[0]?.results[1]?.word).toBe("new");
  });

  it("lets go of what should be on the fresh page and is not", () => {
    expect(shown(withFreshFirstPage(loaded, page([8, 6, 5], "c5")))).toEqual([
      [8, 6, 5],
      [4, 3],
    ]);
  });

  it("starts over where something may be missing between the fresh page and the others", () => {
    const later = { results: [{ ...row(9), created_at: "2026-01-02T00:00:00Z", id: "10" }], next: "c10" };
    const fresh = withFreshFirstPage(loaded, later);
    expect(fresh).toEqual({ pages: [later], pageParams: [""] });
  });

  it("believes a fresh page that is the whole list", () => {
    expect(shown(withFreshFirstPage(loaded, page([8], null)))).toEqual([[8]]);
    expect(shown(withFreshFirstPage(loaded, page([], null)))).toEqual([[]]);
  });
});

describe("a count", () => {
  it("is of the whole page, and says when there are more", () => {
    const page = (length: number, next: string | null) => ({ results: Array(length).fill(null), next });
    expect(["", "34", "100+"]).toEqual([page(0, null), page(34, null), page(100, "c")].map(countOf));
  });
});
