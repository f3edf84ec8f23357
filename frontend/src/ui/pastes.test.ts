import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { takePastes } from "./pastes";

const photo = new File(["x"], "image.png", { type: "image/png" });

class Field extends EventTarget {}

let dialog: object | null;
let taken: File[];

/** What comes of a paste into this target. */
function paste(target: EventTarget, types: string[], files: File[] = [photo]): File[] {
  taken = [];
  const stop = takePastes(target, (pasted) => taken.push(...pasted));
  target.dispatchEvent(Object.assign(new Event("paste"), { clipboardData: { types, files } }));
  stop();
  return taken;
}

beforeEach(() => {
  dialog = null;
  vi.stubGlobal("HTMLTextAreaElement", Field);
  vi.stubGlobal("HTMLSelectElement", class {});
  vi.stubGlobal("HTMLInputElement", class {});
  vi.stubGlobal("document", { querySelector: () => dialog });
});
afterEach(() => vi.unstubAllGlobals());

describe("a picture that is pasted", () => {
  it("is taken wherever the focus is", () => {
    expect(paste(new EventTarget(), ["Files"])).toEqual([photo]);
    expect(paste(new Field(), ["text/html", "Files"])).toEqual([photo]);
  });

  it("is nothing beside the text that is pasted into a field with it, as spreadsheets have it", () => {
    const office = ["text/plain", "text/html", "text/rtf", "Files"];
    expect(paste(new Field(), office)).toEqual([]);
    expect(paste(new EventTarget(), office)).toEqual([photo]);
  });

  it("is not taken under a dialog", () => {
    dialog = {};
    expect(paste(new EventTarget(), ["Files"])).toEqual([]);
  });

  it("may be missing", () => {
    expect(paste(new EventTarget(), ["text/plain"], [])).toEqual([]);
    const bare = new EventTarget();
    const take = vi.fn();
    takePastes(bare, take);
    bare.dispatchEvent(Object.assign(new Event("paste"), { clipboardData: null }));
    expect(take).not.toHaveBeenCalled();
  });
});
