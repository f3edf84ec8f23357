import { type FocusEvent, type ReactNode, type RefObject, useEffect, useId, useRef, useState } from "react";
import { useActiveCount, useJobs } from "../api/queries";
import { useConnection } from "../feed/FeedProvider";
import { generationFilter } from "../kinds";
import { Button, IconButton, RadioGroup } from "../ui/controls";
import { refuseFiles } from "../ui/drops";
import { facts } from "../ui/format";
import { Icon, type IconName } from "../ui/Icon";
import mark from "./mark.svg";
import { mayManage, useMember } from "./member";
import { Link, usePath } from "./router";
import { chooseTheme, useTheme } from "./theme";
import { useSignOut } from "./useSignOut";

const PAGES: { href: string; label: string; icon: IconName }[] = [
  { href: "/", label: "Create", icon: "sparkle" },
  { href: "/videos", label: "Videos", icon: "film" },
  { href: "/library", label: "Library", icon: "image" },
  { href: "/brand", label: "Brand", icon: "tag" },
];

export function Shell({ children }: { children: ReactNode }) {
  const main = useRef<HTMLElement>(null);
  useFocusOnPage(main);
  useEffect(() => refuseFiles(window), []);
  return (
    <div className="shell">
      {/* biome-ignore lint/a11y/useValidAnchor: a link to a place on this page, which also takes the focus there */}
      <a className="skip" href="#main" onClick={() => main.current?.focus()}>
        Skip to content
      </a>
      <header className="bar">
        <Link className="brand" href="/">
          <img src={mark} alt="" />
          Aquarius Studio
        </Link>
        <Navigation />
        <div className="bar-end">
          <ThemeButton />
          <Account />
        </div>
      </header>
      <ConnectionBanner />
      <main id="main" className="main" ref={main} tabIndex={-1}>
        {children}
      </main>
    </div>
  );
}

/** The control that changed the page is often gone with it: the keyboard goes on at the start of the new one. */
function useFocusOnPage(main: RefObject<HTMLElement | null>): void {
  const path = usePath();
  const shown = useRef(path);
  useEffect(() => {
    if (shown.current === path) return;
    shown.current = path;
    main.current?.focus({ preventScroll: true });
  }, [main, path]);
}

function Navigation() {
  const path = usePath();
  // Kept on every page, so that the feed has the newest videos to put its news into.
  useJobs(generationFilter());
  const active = useActiveCount(generationFilter("queued,running")).data;
  return (
    <nav className="nav" aria-label="Main">
      {PAGES.map(({ href, label, icon }) => (
        <Link key={href} href={href} aria-current={isCurrent(path, href) ? "page" : undefined}>
          <Icon name={icon} />
          {label}
          {href === "/videos" && active && (
            <span className="nav-count">
              {active}
              <span className="unseen"> in progress</span>
            </span>
          )}
        </Link>
      ))}
    </nav>
  );
}

const isCurrent = (path: string, href: string) => (href === "/" ? path === "/" : path.startsWith(href));

/** Light and dark here; back to the system's choice in the account menu. */
function ThemeButton() {
  const { theme, system } = useTheme();
  const other = (theme === "system" ? system : theme) === "dark" ? "light" : "dark";
  return (
    <IconButton
      icon={other === "light" ? "sun" : "moon"}
      label={other === "light" ? "Light theme" : "Dark theme"}
      onClick={() => chooseTheme(other === system ? "system" : other)}
    />
  );
}

function Account() {
  const { session, workspace: id, switchTo } = useMember();
  const { signOut, busy, question } = useSignOut();
  const menu = useRef<HTMLDetailsElement>(null);
  const workspace = session.workspaces.find((one) => one.id === id);
  useEffect(() => {
    const pressed = (event: PointerEvent) => {
      if (menu.current && !menu.current.contains(event.target as Node)) menu.current.open = false;
    };
    const typed = (event: KeyboardEvent) => {
      const here = menu.current;
      if (event.key !== "Escape" || !here?.open) return;
      const focus = document.activeElement;
      const ours = here.contains(focus) || focus === document.body;
      here.open = false;
      // What had the focus is hidden now, and the focus would go to the start of the page.
      if (ours) here.querySelector("summary")?.focus();
    };
    document.addEventListener("pointerdown", pressed);
    document.addEventListener("keydown", typed);
    return () => {
      document.removeEventListener("pointerdown", pressed);
      document.removeEventListener("keydown", typed);
    };
  }, []);
  const close = () => {
    if (menu.current) menu.current.open = false;
  };
  const left = (event: FocusEvent) => {
    if (event.relatedTarget && !menu.current?.contains(event.relatedTarget as Node)) close();
  };
  return (
    <>
      <details className="account" ref={menu} onBlur={left}>
        <summary aria-label={`Account: ${session.user.name || session.user.email}`}>
          <Icon name="user" />
          <span className="account-name">{workspace?.name ?? session.user.email}</span>
        </summary>
        <div className="account-menu">
          <div>
            <strong>{session.user.name || session.user.email}</strong>
            <div className="small muted">{session.user.email}</div>
            <div className="small muted">{facts(workspace?.name, workspace?.role)}</div>
          </div>
          {session.workspaces.length > 1 && <WorkspaceChoice current={id} onChoose={switchTo} />}
          {workspace && mayManage(workspace.role) && (
            <div className="account-pages">
              <Link className="button button-plain" href="/people" onClick={close}>
                <Icon name="people" />
                People
              </Link>
              <Link className="button button-plain" href="/keys" onClick={close}>
                <Icon name="key" />
                API keys
              </Link>
            </div>
          )}
          <ThemeChoice />
          <Button busy={busy} onClick={signOut}>
            Sign out
          </Button>
        </div>
      </details>
      {question}
    </>
  );
}

function WorkspaceChoice({ current, onChoose }: { current: string; onChoose: (id: string) => void }) {
  const { workspaces } = useMember().session;
  const name = useId();
  return (
    <fieldset className="workspaces">
      <legend className="label">Workspace</legend>
      {workspaces.map((one) => (
        <label key={one.id} className="workspace">
          <input type="radio" name={name} checked={one.id === current} onChange={() => onChoose(one.id)} />
          <span>{one.name}</span>
          <span className="small muted">{one.role}</span>
        </label>
      ))}
    </fieldset>
  );
}

function ThemeChoice() {
  const { theme } = useTheme();
  return (
    <RadioGroup
      legend="Appearance"
      value={theme}
      onChange={chooseTheme}
      choices={[
        { value: "system", label: "System" },
        { value: "light", label: "Light" },
        { value: "dark", label: "Dark" },
      ]}
    />
  );
}

/** Tells plainly when what is shown may be old. Short interruptions are not worth a word. */
function ConnectionBanner() {
  const connection = useConnection();
  const [shown, setShown] = useState(false);
  useEffect(() => {
    if (connection === "open") return setShown(false);
    const timer = window.setTimeout(() => setShown(true), navigator.onLine ? 1500 : 0);
    return () => window.clearTimeout(timer);
  }, [connection]);
  return (
    <div role="status">
      {shown && (
        <div className="connection">
          <Icon name="offline" />
          <span>
            <strong>{navigator.onLine ? "Reconnecting to the studio." : "You are offline."}</strong> Progress
            shown here may be old; running videos continue, and this page catches up by itself.
          </span>
        </div>
      )}
    </div>
  );
}
