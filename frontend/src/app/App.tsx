import { QueryClientProvider, useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState, useSyncExternalStore } from "react";
import { setDoubtListener, setWorkspaceHeader } from "../api/client";
import { useSession } from "../api/queries";
import type { Session } from "../api/types";
import { BrandPage } from "../brands/BrandPage";
import { CreatePage } from "../create/CreatePage";
import { DraftProvider } from "../create/DraftProvider";
import { UnsavedProvider } from "../create/UnsavedProvider";
import { UploadProvider } from "../create/UploadProvider";
import { FeedProvider } from "../feed/FeedProvider";
import { JobPage } from "../jobs/JobPage";
import { JobsPage } from "../jobs/JobsPage";
import { LibraryPage } from "../library/LibraryPage";
import { ApiKeysPage } from "../people/ApiKeysPage";
import { PeoplePage } from "../people/PeoplePage";
import { Spinner } from "../ui/controls";
import { FormsProvider } from "../ui/FormsProvider";
import { useAskBeforeLeaving, useTitle } from "../ui/hooks";
import { Empty, LoadFailed } from "../ui/messages";
import { caches } from "./caches";
import { kept } from "./kept";
import { MemberProvider } from "./member";
import { go, Link, usePath } from "./router";
import { Shell } from "./Shell";
import { SignIn } from "./SignIn";
import { checkSession, wishedWorkspace, wishForWorkspace, workspaceOf } from "./session";

export function App() {
  const session = useSession();
  const cache = useQueryClient();
  useEffect(() => setDoubtListener(() => checkSession(cache)), [cache]);
  const unsaved = () => kept.unsaved(session.data?.user.id ?? null);
  useAskBeforeLeaving(useSyncExternalStore(kept.subscribe, unsaved, unsaved));
  const seen = useRef(false);
  if (session.data) seen.current = true;
  if (session.data) return <Studio session={session.data} />;
  if (session.data === null) return <SignIn ended={seen.current} onSignedIn={() => session.refetch()} />;
  if (session.isPending) return <Splash />;
  return (
    <main className="whole">
      <LoadFailed error={session.error} retry={() => session.refetch()} />
    </main>
  );
}

function Studio({ session }: { session: Session }) {
  const cache = useQueryClient();
  const [wished, setWished] = useState(wishedWorkspace);
  const workspace = workspaceOf(session, wished);
  setWorkspaceHeader(workspace);
  const role = session.workspaces.find((one) => one.id === workspace)?.role;
  if (workspace === null || role === undefined) return <NoWorkspace />;
  const switchTo = (id: string) => {
    wishForWorkspace(id);
    caches.forget();
    setWished(id);
    go("/");
  };
  return (
    <QueryClientProvider
      key={`${session.user.id} ${workspace}`}
      client={caches.of(session.user.id, workspace)}
    >
      <MemberProvider member={{ session, workspace, role, switchTo }}>
        <FeedProvider workspace={workspace} onRefused={() => checkSession(cache)}>
          <DraftProvider workspace={workspace}>
            <UnsavedProvider masks={kept.masks(session.user.id)}>
              <UploadProvider>
                <FormsProvider forms={kept.forms(session.user.id, workspace)}>
                  <Shell>
                    <Route />
                  </Shell>
                </FormsProvider>
              </UploadProvider>
            </UnsavedProvider>
          </DraftProvider>
        </FeedProvider>
      </MemberProvider>
    </QueryClientProvider>
  );
}

function Route() {
  const path = usePath().replace(/\/+$/, "") || "/";
  const [, area, id, more] = path.split("/");
  if (path === "/" || path === "/sign-in") return <CreatePage />;
  if (area === "videos" && id && !more) return <JobPage key={id} id={id} />;
  if (path === "/videos") return <JobsPage />;
  if (path === "/library") return <LibraryPage />;
  if (path === "/brand") return <BrandPage />;
  if (path === "/people") return <PeoplePage />;
  if (path === "/keys") return <ApiKeysPage />;
  return <NoSuchPage />;
}

function NoSuchPage() {
  useTitle("No such page");
  return (
    <Empty
      icon="alert"
      title="There is no such page"
      action={
        <Link className="button button-primary" href="/">
          Go to Create
        </Link>
      }
    >
      The address may be mistyped, or from an older version of the studio.
    </Empty>
  );
}

const NoWorkspace = () => (
  <main className="whole">
    <Empty icon="user" title="You are in no workspace yet">
      Ask an administrator of the studio to add you to one, then reload this page.
    </Empty>
  </main>
);

const Splash = () => (
  <div className="whole" role="status">
    <span className="unseen">Loading the studio</span>
    <Spinner />
  </div>
);
