import { describe, expect, it, vi } from "vitest";
import { ApiError } from "../api/client";
import type { Asset } from "../api/types";
import { UploadQueue } from "./uploadQueue";

const photo = (name: string, type = "image/jpeg") => new File(["pixels"], name, { type });

/** A studio that takes each photo when the test says so. */
function slowStudio() {
  const sent: { name: string; progress: (fraction: number) => void; end: (result: Asset | Error) => void }[] =
    [];
  const send = (file: File, progress: (fraction: number) => void, signal: AbortSignal) =>
    new Promise<Asset>((resolve, reject) => {
      const end = (result: Asset | Error) => (result instanceof Error ? reject(result) : resolve(result));
      sent.push({ name: file.name, progress, end });
      signal.addEventListener("abort", () => reject(new DOMException("gone", "AbortError")));
    });
  const done = vi.fn();
  return { sent, done, queue: new UploadQueue(send, done) };
}

const asset = (id: string) => ({ id }) as Asset;
const names = (queue: UploadQueue) => queue.snapshot().uploads.map((one) => one.name);

describe("photos that are uploaded together", () => {
  it("are all sent, one after the other, each with its progress", async () => {
    const { sent, done, queue } = slowStudio();
    queue.add([photo("a.jpg"), photo("b.jpg"), photo("c.jpg")], true, 64e6);
    expect([names(queue), sent.length]).toEqual([["a.jpg", "b.jpg", "c.jpg"], 1]);
    sent[0]?.progress(0.4);
    expect(queue.snapshot().uploads.map((one) => one.fraction)).toEqual([0.4, 0, 0]);
    for (const [at, id] of ["a", "b", "c"].entries()) {
      await vi.waitFor(() => expect(sent).toHaveLength(at + 1));
      sent[at]?.end(asset(id));
    }
    await vi.waitFor(() => expect(names(queue)).toEqual([]));
    expect(done.mock.calls).toEqual([
      [asset("a"), true],
      [asset("b"), false],
      [asset("c"), false],
    ]);
  });

  it("do not wait for one that fails, and tell of it", async () => {
    const { sent, done, queue } = slowStudio();
    queue.add([photo("a.jpg"), photo("notes.txt", "text/plain"), photo("b.jpg")], true, 64e6);
    expect(queue.snapshot().problems[0]).toContain("notes.txt");
    sent[0]?.end(new ApiError(413, "too_large", "This is larger than 8 MB. Send a smaller file."));
    await vi.waitFor(() => expect(sent).toHaveLength(2));
    expect(queue.snapshot().problems[1]).toBe("“a.jpg”: This is larger than 8 MB. Send a smaller file.");
    queue.dismiss();
    expect([queue.snapshot().problems, names(queue)]).toEqual([[], ["b.jpg"]]);
    sent[1]?.end(asset("b"));
    await vi.waitFor(() => expect(done).toHaveBeenCalledTimes(1));
  });

  it("can be given up together", async () => {
    const { sent, done, queue } = slowStudio();
    queue.add([photo("a.jpg"), photo("b.jpg")], true, 64e6);
    queue.cancel();
    await vi.waitFor(() => expect(names(queue)).toEqual([]));
    expect([sent.length, done.mock.calls.length, queue.snapshot().problems]).toEqual([1, 0, []]);
    queue.add([photo("c.jpg")], true, 64e6);
    await vi.waitFor(() => expect(sent).toHaveLength(2));
  });

  it("are told by name when their page goes before they have arrived", async () => {
    const { sent, queue } = slowStudio();
    expect(queue.leave()).toBeNull();
    queue.add([photo("a.jpg"), photo("b.jpg")], true, 64e6);
    sent[0]?.end(asset("a"));
    await vi.waitFor(() => expect(sent).toHaveLength(2));
    expect(queue.leave()).toBe("1 photo was not uploaded: “b.jpg”.");
    await vi.waitFor(() => expect(names(queue)).toEqual([]));
    const five = ["a", "b", "c", "d", "e"].map((name) => photo(`${name}.jpg`));
    queue.add(five, true, 64e6);
    expect(queue.leave()).toBe("5 photos were not uploaded: “a.jpg”, “b.jpg”, “c.jpg” and 2 more.");
  });

  it("are told by name also when it was they that found the session ended", async () => {
    const { sent, queue } = slowStudio();
    queue.add([photo("a.jpg"), photo("b.jpg")], true, 64e6);
    sent[0]?.end(new ApiError(401, "not_authenticated", "Your session has ended."));
    await vi.waitFor(() => expect(sent).toHaveLength(2));
    expect(queue.leave()).toBe("2 photos were not uploaded: “a.jpg”, “b.jpg”.");
  });

  it("put the photo on the stage that was chosen last", async () => {
    const { sent, done, queue } = slowStudio();
    queue.add([photo("a.jpg")], true, 64e6);
    queue.add([photo("b.jpg")], true, 64e6);
    sent[0]?.end(asset("a"));
    await vi.waitFor(() => expect(sent).toHaveLength(2));
    sent[1]?.end(asset("b"));
    await vi.waitFor(() => expect(done).toHaveBeenCalledTimes(2));
    expect(done.mock.calls.map(([, use]) => use)).toEqual([false, true]);
  });

  it("are told before they are sent when they are larger than the studio takes", () => {
    const { sent, queue } = slowStudio();
    const most = 8 * 1024 ** 2;
    const sized = (name: string, size: number) => Object.defineProperty(photo(name), "size", { value: size });
    queue.add([sized("large.jpg", most + 1)], true, most);
    expect(sent.length).toBe(0);
    expect(queue.snapshot().problems).toEqual(["“large.jpg” is larger than 8 MB. Save a smaller copy."]);
    queue.add([sized("just.jpg", most)], true, most);
    expect([sent.length, queue.snapshot().problems]).toEqual([1, []]);
  });
});
