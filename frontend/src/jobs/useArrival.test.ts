import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Job } from "../api/types";
import { asking } from "./useArrival";

const job = { id: "j1" } as Job;
const tell = vi.fn();
const location = { pathname: "/" };

beforeEach(() => {
  location.pathname = "/";
  const pushState = (_state: unknown, _title: string, path: string) => {
    location.pathname = path;
  };
  vi.stubGlobal("window", { location, history: { pushState }, scrollTo: () => {} });
});
afterEach(() => {
  tell.mockClear();
  vi.unstubAllGlobals();
});

describe("the answer to Generate", () => {
  it("leads to the video where its member has waited", () => {
    const { arrived, failed } = asking(tell, () => true);
    failed("It broke.");
    arrived(job);
    expect(location.pathname).toBe("/videos/j1");
    expect(tell).not.toHaveBeenCalled();
  });

  it("pulls nobody back who has gone on, and offers a way to the video", () => {
    let here = true;
    const { arrived, failed } = asking(tell, () => here);
    here = false;
    location.pathname = "/library";
    failed("It broke.");
    expect(tell).toHaveBeenCalledWith("It broke.", "error");
    arrived(job);
    expect(location.pathname).toBe("/library");
    tell.mock.lastCall?.[2].act();
    expect(location.pathname).toBe("/videos/j1");
  });

  it("is told to who looks at another photo on the same page", () => {
    const { arrived, failed } = asking(tell, () => false);
    failed("It broke.");
    expect(tell).toHaveBeenCalledWith("It broke.", "error");
    arrived(job);
    expect(location.pathname).toBe("/");
  });
});
