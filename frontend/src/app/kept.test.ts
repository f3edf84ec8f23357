import { expect, it, vi } from "vitest";
import { emptyHistory } from "../create/history";
import { Saves } from "../create/saves";
import { Kept } from "./kept";

const bases = { opened: null, openedIsAutomatic: true, automatic: null, blank: null };

function painted(kept: Kept, user: string): Saves {
  const saves = new Saves(() => () => new Promise(() => {}));
  saves.soon();
  kept.masks(user).keep("a1", { history: emptyHistory, bases, known: { current: "auto" }, saves });
  return saves;
}

it("is there again for the member who made it, in the workspace it was typed in, and for nobody else", () => {
  vi.useFakeTimers();
  const kept = new Kept();
  const saves = painted(kept, "u1");
  kept.forms("u1", "w1").open("brand", "");
  kept.forms("u1", "w1").change("brand", "N");
  expect(kept.masks("u1").find("a1")?.saves).toBe(saves);
  expect(kept.masks("u2").find("a1")).toBeNull();
  expect(kept.forms("u1", "w1").find("brand")?.now).toBe("N");
  expect(kept.forms("u1", "w2").find("brand")).toBeUndefined();
  expect(kept.forms("u2", "w1").find("brand")).toBeUndefined();
  vi.useRealTimers();
});

it("is asked about before its member leaves, or whoever sits before the sign-in form", () => {
  vi.useFakeTimers();
  const kept = new Kept();
  const told = vi.fn();
  kept.subscribe(told);
  expect(kept.unsaved("u1")).toBe(false);
  kept.forms("u1", "w2").open("brand", "");
  kept.forms("u1", "w2").change("brand", "N");
  expect(["u1", "u2", null].map((user) => kept.unsaved(user))).toEqual([true, false, true]);
  painted(kept, "u2");
  expect(kept.unsaved("u2")).toBe(true);
  told.mockClear();
  kept.forget("u1");
  expect(told).toHaveBeenCalledOnce();
  expect(["u1", "u2", null].map((user) => kept.unsaved(user))).toEqual([false, true, true]);
  vi.useRealTimers();
});
