import { createContext, type ReactNode, useContext, useSyncExternalStore } from "react";
import { sentence } from "../api/client";
import type { OpenForms } from "./openForms";

const FormsContext = createContext<OpenForms | null>(null);

/** Above all pages, so that a half-typed form is there again when its member comes back. */
export function FormsProvider({ forms, children }: { forms: OpenForms; children: ReactNode }) {
  return <FormsContext.Provider value={forms}>{children}</FormsContext.Provider>;
}

export interface OpenForm<T> {
  value: T;
  /** It is being saved. */
  busy: boolean;
  /** Why it was not saved. */
  problem: string | null;
  change: (next: T) => void;
  /** Closes it when it was sent. */
  save: (send: () => Promise<unknown>) => void;
  /** It was saved, or given up. */
  close: () => void;
}

/** The form of this name; null while it is not open. */
export function useOpenForm<T>(name: string): { form: OpenForm<T> | null; open: (first: T) => void } {
  const forms = useContext(FormsContext);
  if (!forms) throw new Error("useOpenForm outside of FormsProvider");
  const find = () => forms.find(name);
  const state = useSyncExternalStore(forms.subscribe, find, find);
  const form = state
    ? {
        value: state.now as T,
        busy: state.busy,
        problem: state.error === null ? null : sentence(state.error),
        change: (next: T) => forms.change(name, next),
        save: (send: () => Promise<unknown>) => void forms.save(name, send),
        close: () => forms.close(name),
      }
    : null;
  return { form, open: (first) => forms.open(name, first) };
}
