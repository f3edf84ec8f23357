import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Asset } from "./types";
import { uploadAsset } from "./upload";

const photo = new File(["pixels"], "jar.jpg", { type: "image/jpeg" });

/** A request that gets this answer as soon as it is sent. */
function answerWith(status: number, responseText: string): void {
  class Http {
    status = status;
    responseText = responseText;
    upload = {};
    onload = () => {};
    open(): void {}
    setRequestHeader(): void {}
    send(): void {
      queueMicrotask(() => this.onload());
    }
  }
  vi.stubGlobal("XMLHttpRequest", Http);
}

const sent = () => uploadAsset(photo, () => {}, new AbortController().signal);

beforeEach(() => vi.stubGlobal("document", { cookie: "" }));
afterEach(() => vi.unstubAllGlobals());

describe("the answer to an upload", () => {
  it("is the photo", async () => {
    answerWith(201, JSON.stringify({ id: "a1" }));
    expect(await sent()).toEqual({ id: "a1" } as Asset);
  });

  it("may be a refusal", async () => {
    answerWith(422, JSON.stringify({ code: "unreadable", detail: "This is no photo." }));
    await expect(sent()).rejects.toMatchObject({ status: 422, message: "This is no photo." });
  });

  it("ends it also when it is not the studio's", async () => {
    answerWith(200, "<html>Sign in to this network</html>");
    await expect(sent()).rejects.toMatchObject({ code: "error", message: expect.stringContaining("answer") });
  });
});
