import { QueryClient, QueryObserver } from "@tanstack/react-query";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { problemFrom, request, requestHeaders, setDoubtListener, setWorkspaceHeader } from "../api/client";
import { keys } from "../api/keys";
import { fetchSession } from "../api/queries";
import type { Session } from "../api/types";
import { checkSession, workspaceOf } from "./session";

const member: Session = {
  user: { id: "u1", email: "a@studio.example", name: "A" },
  workspaces: [
    { id: "w1", name: "First", role: "owner" },
    { id: "w2", name: "Second", role: "viewer" },
  ],
  workspace: "w1",
  upload_bytes: 64 * 1024 ** 2,
};

const refused = {
  status: 401,
  code: "not_authenticated",
  detail: "Sign in, or send an API key as `Authorization: Bearer aq_...`.",
};

const answer = (status: number, body: unknown) => new Response(JSON.stringify(body), { status });
const fetched = vi.fn<typeof fetch>();

beforeEach(() => {
  vi.stubGlobal("fetch", fetched);
  vi.stubGlobal("document", { cookie: "" });
});
afterEach(() => {
  setDoubtListener(() => {});
  setWorkspaceHeader(null);
  fetched.mockReset();
  vi.unstubAllGlobals();
});

/** A page that shows the studio to a signed-in member. */
function signedInPage() {
  const cache = new QueryClient({ defaultOptions: { queries: { retry: false } } });
  cache.setQueryData(keys.session, member);
  const observer = new QueryObserver(cache, {
    queryKey: keys.session,
    queryFn: fetchSession,
    staleTime: 300_000,
  });
  const leave = observer.subscribe(() => {});
  setDoubtListener(() => checkSession(cache));
  return { cache, leave };
}

describe("a session that has ended", () => {
  it("is found out by any refused request, asked once, and leaves nobody signed in", async () => {
    const { cache, leave } = signedInPage();
    fetched.mockImplementation(async () => answer(401, refused));
    await Promise.allSettled([request("GET", "/jobs"), request("GET", "/models"), request("GET", "/assets")]);
    await vi.waitFor(() => expect(cache.getQueryData(keys.session)).toBeNull());
    expect(fetched.mock.calls.filter(([url]) => url === "/api/v1/session")).toHaveLength(1);
    leave();
  });

  it("is not believed when the studio still knows the member", async () => {
    const { cache, leave } = signedInPage();
    fetched.mockImplementation(async (url) =>
      url === "/api/v1/session" ? answer(200, member) : answer(401, refused),
    );
    await Promise.allSettled([request("GET", "/jobs")]);
    await vi.waitFor(() => expect(fetched).toHaveBeenCalledTimes(2));
    await vi.waitFor(() => expect(cache.isFetching()).toBe(0));
    expect(cache.getQueryData(keys.session)).toEqual(member);
    leave();
  });

  it("keeps the studio on the page while the question has no answer", async () => {
    const { cache, leave } = signedInPage();
    fetched.mockRejectedValue(new TypeError("Failed to fetch"));
    checkSession(cache);
    await vi.waitFor(() => expect(cache.getQueryState(keys.session)?.status).toBe("error"));
    expect(cache.getQueryData(keys.session)).toEqual(member);
    leave();
  });

  it("may also be one of somebody whose role is another by now", async () => {
    const { cache, leave } = signedInPage();
    const viewer = { ...member, workspaces: [{ id: "w1", name: "First", role: "viewer" }] };
    fetched.mockImplementation(async (url) =>
      url === "/api/v1/session" ? answer(200, viewer) : answer(403, { code: "forbidden", detail: "No." }),
    );
    await Promise.allSettled([request("POST", "/jobs")]);
    await vi.waitFor(() => expect(cache.getQueryData(keys.session)).toEqual(viewer));
    leave();
  });

  it("is told without a word about API keys", () => {
    expect(problemFrom(401, JSON.stringify(refused)).message).not.toMatch(/API|Bearer|key/);
  });

  it("is no wrong password", () => {
    const listener = vi.fn();
    setDoubtListener(listener);
    const problem = problemFrom(401, JSON.stringify({ code: "wrong_credentials", detail: "Not together." }));
    expect(problem.message).toBe("Not together.");
    expect(listener).not.toHaveBeenCalled();
  });
});

describe("the workspace", () => {
  it("is the one that was chosen, as long as its member still is one", () => {
    expect(workspaceOf(member, "w2")).toBe("w2");
    expect(workspaceOf(member, "w3")).toBe("w1");
    expect(workspaceOf(member, null)).toBe("w1");
  });

  it("is named by every request but the one that asks who is signed in", () => {
    setWorkspaceHeader("w2");
    expect(requestHeaders("GET", "/jobs")).toMatchObject({ "X-Workspace": "w2" });
    expect(requestHeaders("GET", "/session")).not.toHaveProperty("X-Workspace");
  });
});
