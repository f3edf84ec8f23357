import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { renderToStaticMarkup } from "react-dom/server";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { keys } from "../api/keys";
import type { Asset, Job } from "../api/types";
import { BrandPage } from "../brands/BrandPage";
import { DraftProvider } from "../create/DraftProvider";
import { UnsavedProvider } from "../create/UnsavedProvider";
import { UploadProvider } from "../create/UploadProvider";
import { UnsavedMasks } from "../create/unsaved";
import { JobPage } from "../jobs/JobPage";
import { LibraryPage } from "../library/LibraryPage";
import { ApiKeysPage } from "../people/ApiKeysPage";
import { PeoplePage } from "../people/PeoplePage";
import { FormsProvider } from "../ui/FormsProvider";
import { OpenForms } from "../ui/openForms";
import { MemberProvider, type Role } from "./member";

const urls = { content: "/c", thumbnail: "/t", download: "/d" };
const photo = { id: "a1", name: "bottle.jpg", width: 3, height: 4, bytes: 5000, urls, mask: null } as Asset;

const brand = { id: "b1", name: "Northlight", colours: ["#7a3b12"], created_at: "2026-01-01T00:00:00Z" };
const product = {
  id: "p1",
  brand_id: "b1",
  name: "Harbour mug",
  facts: { volume: "350 ml" },
  created_at: "",
};
const people = (["owner", "admin", "viewer"] as const).map((role) => ({
  id: `m-${role}`,
  role,
  user: { id: `u-${role}`, email: `${role}@studio.example`, name: "" },
  created_at: "2026-01-01T00:00:00Z",
}));

const key = {
  id: "k1",
  name: "web shop",
  role: "viewer",
  prefix: "0a1b2c3d",
  created_at: "2026-01-01T00:00:00Z",
  last_used_at: null,
  revoked_at: null,
  created_by: people[0]?.user,
};

const job = (state: Job["state"], change: Partial<Job> = {}) =>
  ({
    id: "j1",
    kind: "image_to_video",
    state,
    settings: { asset_id: "a1", format: "9:16", seconds: 5 },
    notices: [],
    progress: 0.4,
    result: null,
    error: null,
    source_asset: photo,
    eta_seconds: null,
    created_at: "2026-01-01T00:00:00Z",
    ...change,
  }) as unknown as Job;

function seen(role: Role, page: ReactNode, shown: Job = job("running")): string {
  const cache = new QueryClient({ defaultOptions: { queries: { staleTime: 60_000 } } });
  cache.setQueryData(keys.models, []);
  cache.setQueryData(keys.job("j1"), shown);
  cache.setQueryData(keys.assetList, { pages: [{ results: [photo], next: null }], pageParams: [""] });
  cache.setQueryData(keys.brands, { pages: [{ results: [brand], next: null }], pageParams: [""] });
  cache.setQueryData(keys.productList("b1"), {
    pages: [{ results: [product], next: null }],
    pageParams: [""],
  });
  cache.setQueryData(keys.members, { pages: [{ results: people, next: null }], pageParams: [""] });
  cache.setQueryData(keys.apiKeys, {
    pages: [
      {
        results: [key, { ...key, id: "k2", name: "old shop", revoked_at: "2026-02-01T00:00:00Z" }],
        next: null,
      },
    ],
    pageParams: [""],
  });
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
              <FormsProvider forms={new OpenForms()}>{page}</FormsProvider>
            </UploadProvider>
          </UnsavedProvider>
        </DraftProvider>
      </MemberProvider>
    </QueryClientProvider>,
  );
}

beforeEach(() => {
  vi.stubGlobal("navigator", {});
  vi.stubGlobal("window", { matchMedia: () => ({ matches: true }) });
});
afterEach(() => vi.unstubAllGlobals());

const running = (role: Role) => seen(role, <JobPage id="j1" />);
const failed = (role: Role) => seen(role, <JobPage id="j1" />, job("failed"));
const video = { ...photo, id: "v1", duration: 5, urls: { content: "/v", thumbnail: "/vt", download: "/vd" } };
const made = { asset: video, settings: {}, timings: {} } as unknown as Job["result"];
const finished = (role: Role) => seen(role, <JobPage id="j1" />, job("succeeded", { result: made }));
const brands = (role: Role) => seen(role, <BrandPage />);
const persons = (role: Role) => seen(role, <PeoplePage />);
const machines = (role: Role) => seen(role, <ApiKeysPage />);
const library = (role: Role) => seen(role, <LibraryPage />);

describe("a video whose photo was deleted", () => {
  const page = (change: Partial<Job>) =>
    seen("editor", <JobPage id="j1" />, job("succeeded", { source_asset: null, ...change }));

  it("is not offered again, and says what its settings are good for", () => {
    const error = { code: "x", message: "It broke.", retryable: true };
    for (const html of [page({}), page({ state: "failed", error })]) {
      expect(html).toContain("The photo was deleted");
      expect(html).toContain("Use these settings");
      for (const word of ["Again<", "Vary<", "Start it again"]) expect(html).not.toContain(word);
    }
    expect(failed("editor")).not.toContain("The photo was deleted");
  });

  it("promises nothing where the video was deleted too", () => {
    const result = { asset: null, settings: {}, timings: {} } as unknown as Job["result"];
    expect(page({ result })).toContain("The video was deleted");
    expect(page({ result })).not.toContain("start it again");
    expect(page({ result, source_asset: photo })).toContain("start it again");
  });
});

describe("the times of a video", () => {
  const at = (iso: string) => new Date(iso).toLocaleString();
  const waited = { created_at: "2026-01-01T08:00:00Z", started_at: "2026-01-01T09:30:00Z" };

  it("tell when it was asked for, and when it was started", () => {
    const html = seen("editor", <JobPage id="j1" />, job("running", waited));
    expect(html).toMatch(new RegExp(`Asked for</dt><dd[^>]*>${at(waited.created_at)}<`));
    expect(html).toMatch(new RegExp(`Started</dt><dd[^>]*>${at(waited.started_at)}<`));
    expect(seen("editor", <JobPage id="j1" />, job("queued", { started_at: null }))).not.toContain(
      "Started<",
    );
  });
});

describe("a viewer", () => {
  it("is told why a video cannot be canceled, made again or varied here", () => {
    expect(running("viewer")).not.toContain("Cancel");
    expect(running("viewer")).toContain("You are a viewer of this workspace");
    expect(failed("viewer")).toContain("You are a viewer of this workspace");
    for (const word of ["Again", "Vary"]) expect(failed("viewer")).not.toContain(word);
  });

  it("downloads a video and does not delete it", () => {
    expect(finished("viewer")).toContain("Download MP4");
    expect(finished("viewer")).not.toContain("Delete video");
  });

  it("is told why photos cannot be added or deleted here", () => {
    expect(library("reviewer")).toContain("You are a reviewer of this workspace");
    for (const word of ["Add photos", "Delete bottle.jpg"]) expect(library("reviewer")).not.toContain(word);
  });

  it("sees the brand and its facts, and nothing to change them with", () => {
    for (const word of ["Northlight", "#7a3b12", "Harbour mug", "350 ml"])
      expect(brands("viewer")).toContain(word);
    for (const word of ["Add a brand", "Add a product", "Change Harbour mug"])
      expect(brands("viewer")).not.toContain(word);
  });
});

describe("an editor", () => {
  it("is offered all of it", () => {
    expect(running("editor")).toContain("Cancel");
    for (const word of ["Again", "Vary"]) expect(failed("editor")).toContain(word);
    expect(finished("editor")).toContain("Delete video");
    expect(failed("editor")).not.toContain("Delete video");
    for (const word of ["Add photos", "Delete bottle.jpg"]) expect(library("editor")).toContain(word);
    for (const word of ["Add a brand", "Add a product", "Change Harbour mug"])
      expect(brands("editor")).toContain(word);
  });

  it("is told that people are the administrators' matter", () => {
    expect(persons("editor")).toContain("You are an editor");
    expect(persons("editor")).not.toContain("@studio.example");
  });

  it("is told that API keys are the administrators' matter", () => {
    expect(machines("editor")).toContain("You are an editor");
    expect(machines("editor")).not.toContain("web shop");
  });
});

describe("an administrator", () => {
  it("sees whose key each is, and may revoke those that are good", () => {
    const seen = machines("admin");
    for (const word of ["aq_0a1b2c3d_", "by owner@studio.example", "not used yet", "Revoke web shop"])
      expect(seen).toContain(word);
    expect(seen).toContain("old shop");
    expect(seen).not.toContain("Revoke old shop");
  });

  it("gives a key at most the role that they have", () => {
    expect(machines("admin")).not.toContain('<option value="owner"');
    expect(machines("owner")).toContain('<option value="owner"');
  });

  it("gives roles up to its own, and cannot change who is above", () => {
    const seen = persons("admin");
    expect(seen).toContain("viewer@studio.example");
    expect(seen).toMatch(/<select[^>]*Role of owner@studio.example[^>]*disabled/);
    expect(seen).not.toMatch(/<select[^>]*Role of viewer@studio.example[^>]*disabled/);
    expect(seen.match(/<option value="owner"/g)).toHaveLength(1);
    expect(persons("owner").match(/<option value="owner"/g)).toHaveLength(4);
  });
});
