import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { renderToStaticMarkup } from "react-dom/server";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ApiError } from "../api/client";
import { keys } from "../api/keys";
import type { Asset, Framing, Model } from "../api/types";
import { MemberProvider, type Role } from "../app/member";
import { CreatePage } from "./CreatePage";
import { DraftProvider } from "./DraftProvider";
import { Notes } from "./Notes";
import { Photo } from "./Stage";
import { UnsavedProvider } from "./UnsavedProvider";
import { UploadProvider } from "./UploadProvider";
import { UnsavedMasks } from "./unsaved";
import { decisive, type FramingState, saysMore } from "./useFraming";

const broke = new ApiError(500, "internal_error", "Something went wrong on our side.");

const model = {
  id: "nano",
  name: "aquarius-nano",
  version: "1",
  digest: "sha256:0",
  kinds: {
    image_to_video: {
      title: "Video from a photo",
      schema: { properties: { format: { enum: ["9:16"] }, seconds: { type: "number" } } },
      defaults: { format: "9:16", seconds: 5 },
    },
  },
} as unknown as Model;

const photo = (mask: Partial<NonNullable<Asset["mask"]>> = {}) =>
  ({
    id: "a1",
    name: "bottle.jpg",
    width: 900,
    height: 1200,
    urls: { content: "/c", thumbnail: "/t", download: "/d" },
    mask: { id: "mask-1", state: "ready", source: "auto", url: "/m", job: null, error: null, ...mask },
  }) as Asset;

let cache: QueryClient;

/** As the cache stands when a request fails after one that went well, or with none before it. */
function fail(key: readonly unknown[]): void {
  const query = cache.getQueryCache().build(cache, { queryKey: key });
  query.setState({ ...query.state, status: "error", error: broke, fetchStatus: "idle" });
}

function page(role: Role = "editor"): string {
  const workspaces = [{ id: "w1", name: "Northlight", role }];
  const session = {
    user: { id: "u", email: "a@studio.example", name: "" },
    workspaces,
    workspace: "w1",
    upload_bytes: 64 * 1024 ** 2,
  };
  return renderToStaticMarkup(
    <QueryClientProvider client={cache}>
      <MemberProvider member={{ session, workspace: "w1", role, switchTo: () => undefined }}>
        <DraftProvider workspace="w1">
          <UnsavedProvider masks={new UnsavedMasks()}>
            <UploadProvider>
              <CreatePage />
            </UploadProvider>
          </UnsavedProvider>
        </DraftProvider>
      </MemberProvider>
    </QueryClientProvider>,
  );
}

const generate = (html: string) => html.match(/<button[^>]*type="submit"[^>]*>/)?.[0];

beforeEach(() => {
  const draft = JSON.stringify({ assetId: "a1", kind: "image_to_video", values: {} });
  vi.stubGlobal("localStorage", { getItem: () => draft, setItem: () => undefined });
  cache = new QueryClient({ defaultOptions: { queries: { retryOnMount: false, staleTime: 60_000 } } });
  cache.setQueryData(keys.models, [model]);
  cache.setQueryData(keys.asset("a1"), photo());
  cache.setQueryData(keys.assetList, { pages: [{ results: [], next: null }], pageParams: [""] });
});
afterEach(() => vi.unstubAllGlobals());

describe("the editor", () => {
  it("stays, with what was painted, when something fails in the background", () => {
    fail(keys.models);
    fail(keys.asset("a1"));
    expect(page()).toContain("Mask and view");
    expect(page()).not.toContain("could not be loaded");
  });

  it("gives way to a word where nothing was ever loaded", () => {
    cache.removeQueries({ queryKey: keys.models });
    fail(keys.models);
    expect(page()).toContain("This could not be loaded");
  });

  it("does not take a list of photos that failed for an empty one", () => {
    cache.removeQueries({ queryKey: keys.assetList });
    fail(keys.assetList);
    expect(page()).toContain("Your photos could not be loaded");
    expect(page()).toContain("Something went wrong on our side.");
  });
});

describe("Generate", () => {
  it("need not wait for the automatic mask, and says what happens then", () => {
    cache.setQueryData(keys.asset("a1"), photo({ state: "pending", url: null }));
    expect(generate(page())).not.toContain("disabled");
    expect(page()).toContain("the video uses the automatic mask");
  });

  it("waits for a photo", () => {
    vi.stubGlobal("localStorage", { getItem: () => null, setItem: () => undefined });
    expect(generate(page())).toContain("disabled");
    expect(page()).toContain("Choose a photo first");
  });
});

describe("who may only look", () => {
  it.each(["viewer", "reviewer"] as Role[])("is offered nothing that would be refused (%s)", (role) => {
    const html = page(role);
    expect(html).toContain(`You are a ${role} of this workspace`);
    for (const word of ["Generate", "Brush", "Eraser", "Undo", "Add photos"])
      expect(html).not.toContain(word);
    expect(html).toContain("Show the mask");
  });

  it("is nobody who may edit", () => {
    const html = page("editor");
    expect(html).not.toContain("of this workspace: you can look");
    for (const word of ["Generate", "Brush", "Eraser", "Undo", "Add photos"]) expect(html).toContain(word);
  });
});

describe("a photo that is see-through", () => {
  const shown = (backdrop: string | null) =>
    renderToStaticMarkup(
      <QueryClientProvider client={cache}>
        <Photo asset={photo()} backdrop={backdrop} />
      </QueryClientProvider>,
    );

  it("lies over what the video will show there", () => {
    expect(shown("#f3f3f4")).toContain('style="background:#f3f3f4"');
    expect(shown(null)).not.toContain("style");
  });
});

describe("the framing", () => {
  const notice = { code: "strength_reduced", message: "The camera moves at 60 % of the asked strength." };
  const framing: Framing = {
    window: [0, 0, 1, 1],
    extended: false,
    strength_scale: 0.6,
    backdrop: null,
    notices: [notice],
  };
  const state = (change: Partial<FramingState>): FramingState => ({
    framing: null,
    state: "known",
    error: null,
    retry: () => undefined,
    settled: () => Promise.reject(),
    ...change,
  });
  const notes = (change: Partial<FramingState>, late = false) =>
    renderToStaticMarkup(<Notes asset={photo()} framing={state(change)} late={late} />);

  it("tells what it costs, that it failed, and that it came late", () => {
    expect(notes({ framing })).toContain(notice.message);
    expect(notes({ state: "failed", error: broke })).toContain("The framing could not be worked out");
    expect(notes({ state: "failed", error: broke })).toContain("Try again");
    expect(notes({ framing }, true)).toContain("Press Generate again");
    expect(notes({})).not.toContain("callout");
  });

  it("says that a video can be made without it, but not of a studio that does not answer", () => {
    const without = "You can generate without seeing it";
    expect(notes({ state: "failed", error: broke })).toContain(without);
    expect(notes({ state: "failed", error: new ApiError(0, "offline", "No answer.") })).not.toContain(
      without,
    );
  });

  it("follows from what decides it, and from a prompt that may be sent", () => {
    const schema = { properties: { prompt: { type: "string", maxLength: 10 } } };
    const values = { format: "9:16", seed: 7, steps: 4, prompt: "slow orbit" };
    expect(decisive(values, schema)).toEqual({ format: "9:16", prompt: "slow orbit" });
    expect(decisive({ ...values, prompt: "a slow orbit" }, schema)).toEqual({ format: "9:16" });
  });

  it("holds Generate back only where it says what was not on the page", () => {
    expect(saysMore(framing, null)).toBe(true);
    expect(saysMore(framing, framing)).toBe(false);
    expect(saysMore({ ...framing, notices: [] }, framing)).toBe(false);
    expect(saysMore(null, null)).toBe(false);
  });
});
