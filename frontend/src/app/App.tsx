import { useQueryClient } from "@tanstack/react-query";
import { ApiError, setWorkspaceHeader } from "../api/client";
import { useSession } from "../api/queries";
import type { Session } from "../api/types";
import { CreatePage } from "../create/CreatePage";
import { DraftProvider } from "../create/DraftProvider";
import { FeedProvider } from "../feed/FeedProvider";
import { JobPage } from "../jobs/JobPage";
import { JobsPage } from "../jobs/JobsPage";
import { LibraryPage } from "../library/LibraryPage";
import { Spinner } from "../ui/controls";
import { Empty, LoadFailed } from "../ui/messages";
import { Link, usePath } from "./router";
import { Shell } from "./Shell";
import { SignIn } from "./SignIn";

export function App() {
  const session = useSession();
  const cache = useQueryClient();
  if (session.data) return <Studio session={session.data} />;
  if (session.isPending) return <Splash />;
  if (session.error instanceof ApiError && [401, 403].includes(session.error.status)) {
    return <SignIn onSignedIn={() => cache.resetQueries()} />;
  }
  return (
    <main className="whole">
      <LoadFailed error={session.error} retry={() => session.refetch()} />
    </main>
  );
}

function Studio({ session }: { session: Session }) {
  setWorkspaceHeader(session.workspace);
  if (session.workspace === null) return <NoWorkspace />;
  return (
    <FeedProvider workspace={session.workspace}>
      <DraftProvider workspace={session.workspace}>
        <Shell session={session}>
          <Route />
        </Shell>
      </DraftProvider>
    </FeedProvider>
  );
}

function Route() {
  const path = usePath().replace(/\/+$/, "") || "/";
  const [, area, id, more] = path.split("/");
  if (path === "/" || path === "/sign-in") return <CreatePage />;
  if (area === "videos" && id && !more) return <JobPage key={id} id={id} />;
  if (path === "/videos") return <JobsPage />;
  if (path === "/library") return <LibraryPage />;
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
