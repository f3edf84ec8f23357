import { beforeEach, describe, expect, it } from "vitest";
import { refuseFiles, takeFiles } from "./drops";

const photo = new File(["x"], "bottle.jpg", { type: "image/jpeg" });

let page: EventTarget;
let over: boolean;
let taken: File[];

function drag(type: string, files: File[] = [photo], types = ["Files"]) {
  const event = new Event(type, { cancelable: true });
  const dataTransfer = { types, files, dropEffect: "move" };
  page.dispatchEvent(Object.assign(event, { dataTransfer, relatedTarget: null }));
  return { prevented: event.defaultPrevented, effect: dataTransfer.dropEffect };
}

const take = () =>
  takeFiles(page, {
    over: (now) => {
      over = now;
    },
    files: (files) => taken.push(...files),
  });

beforeEach(() => {
  page = new EventTarget();
  over = false;
  taken = [];
});

describe("a file that is dragged over the page", () => {
  it("is refused where none is taken, so that the browser stays", () => {
    refuseFiles(page);
    expect(drag("dragover")).toEqual({ prevented: true, effect: "none" });
    expect(drag("drop").prevented).toBe(true);
    expect(drag("dragover", [], ["text/plain"]).prevented).toBe(false);
  });

  it.each([
    ["before", [take, () => refuseFiles(page)]],
    ["after", [() => refuseFiles(page), take]],
  ] as const)("is taken where one listens, be it %s who refuses", (_, listeners) => {
    for (const listener of listeners) listener();
    expect(drag("dragover")).toEqual({ prevented: true, effect: "copy" });
    expect(over).toBe(true);
    drag("drop");
    expect([over, taken]).toEqual([false, [photo]]);
  });

  it("is no file where the drag began on the page, until that has ended", () => {
    take();
    drag("dragstart");
    expect(drag("dragover").prevented).toBe(false);
    drag("drop");
    expect([over, taken]).toEqual([false, []]);
    drag("dragend");
    drag("drop");
    expect(taken).toEqual([photo]);
  });

  it("leaves the page without a drop", () => {
    const stop = take();
    drag("dragover");
    drag("dragleave");
    expect(over).toBe(false);
    stop();
    expect(drag("drop").prevented).toBe(false);
  });
});
