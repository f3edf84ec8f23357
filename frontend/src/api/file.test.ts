import { describe, expect, it } from "vitest";
import { answered, broken, loading, offered } from "./file";

const shown = loading("old");
const asking = broken(shown, "old");

describe("a file whose address may have ended", () => {
  it("is left alone while it loads well", () => {
    expect(offered(shown, "new")).toBe(shown);
  });

  it("is tried at the address that the page has meanwhile, or asked for where it has none", () => {
    expect(broken(shown, "new")).toEqual({ url: "new", attempt: 1, state: "shown" });
    expect(asking).toEqual({ url: "old", attempt: 0, state: "asking" });
  });

  it("is tried at the address that the answer brings, and given up with the same one", () => {
    expect(answered(asking, "new")).toEqual({ url: "new", attempt: 1, state: "shown" });
    expect(answered(asking, "old").state).toBe("failed");
    expect(answered(shown, "old")).toBe(shown);
  });

  it("comes back when a new address arrives later", () => {
    const failed = answered(asking, "old");
    expect(offered(failed, "old")).toBe(failed);
    expect(offered(failed, "new")).toEqual({ url: "new", attempt: 1, state: "shown" });
  });
});
