import { createContext, type ReactNode, useCallback, useContext, useMemo, useRef, useState } from "react";
import { sentence } from "../api/client";
import { Button, IconButton } from "./controls";
import { Icon, type IconName } from "./Icon";

interface CalloutProps {
  tone?: "info" | "warn" | "error";
  title?: string;
  children?: ReactNode;
  action?: ReactNode;
}

export function Callout({ tone = "info", title, children, action }: CalloutProps) {
  return (
    <div className={`callout callout-${tone}`} role={tone === "error" ? "alert" : undefined}>
      <Icon name={tone === "info" ? "info" : "alert"} />
      <div className="callout-text">
        {title && <strong>{title}</strong>}
        {children && <div>{children}</div>}
      </div>
      {action}
    </div>
  );
}

interface EmptyProps {
  icon: IconName;
  title: string;
  children?: ReactNode;
  action?: ReactNode;
}

/** A whole area that has nothing to show, and what to do about it. */
export function Empty({ icon, title, children, action }: EmptyProps) {
  return (
    <div className="empty">
      <span className="empty-icon">
        <Icon name={icon} size={28} />
      </span>
      <h2>{title}</h2>
      {children && <p>{children}</p>}
      {action}
    </div>
  );
}

export function LoadFailed({ error, retry }: { error: unknown; retry: () => void }) {
  return (
    <div role="alert">
      <Empty
        icon="alert"
        title="This could not be loaded"
        action={
          <Button icon="again" onClick={retry}>
            Try again
          </Button>
        }
      >
        {sentence(error)}
      </Empty>
    </div>
  );
}

interface Way {
  label: string;
  act: () => void;
}

type Toast = { id: number; text: string; tone: "info" | "error"; way?: Way };
/** `way`: what can be done about it, at one press. */
export type Tell = (text: string, tone?: Toast["tone"], way?: Way) => void;

const ToastContext = createContext<Tell>(() => {});

/** Shows a short sentence for a while and reads it aloud. */
export const useToast = (): Tell => useContext(ToastContext);

export function ToastProvider({ children }: { children: ReactNode }) {
  const [toasts, setToasts] = useState<Toast[]>([]);
  const next = useRef(1);
  const drop = useCallback((id: number) => setToasts((all) => all.filter((toast) => toast.id !== id)), []);
  const tell = useCallback<Tell>(
    (text, tone = "info", way) => {
      const id = next.current++;
      setToasts((all) => [...all.slice(-2), { id, text, tone, way }]);
      window.setTimeout(() => drop(id), tone === "error" || way ? 9000 : 4500);
    },
    [drop],
  );
  const list = useMemo(
    () => (
      <div className="toasts" role="status" aria-live="polite">
        {toasts.map((toast) => (
          <div key={toast.id} className={`toast toast-${toast.tone}`}>
            <Icon name={toast.tone === "error" ? "alert" : "check"} />
            <span>{toast.text}</span>
            {toast.way && <ToastWay way={toast.way} onTaken={() => drop(toast.id)} />}
            <IconButton icon="close" label="Dismiss" onClick={() => drop(toast.id)} />
          </div>
        ))}
      </div>
    ),
    [toasts, drop],
  );
  return (
    <ToastContext.Provider value={tell}>
      {children}
      {list}
    </ToastContext.Provider>
  );
}

function ToastWay({ way, onTaken }: { way: Way; onTaken: () => void }) {
  const take = () => {
    onTaken();
    way.act();
  };
  return (
    <Button look="quiet" onClick={take}>
      {way.label}
    </Button>
  );
}
