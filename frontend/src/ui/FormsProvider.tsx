import { createContext, type ReactNode, useContext, useSyncExternalStore } from "react";
import type { OpenForms } from "./openForms";

const FormsContext = createContext<OpenForms | null>(null);

/** Above all pages, so that a half-typed form is there again when its member comes back. */
export function FormsProvider({ forms, children }: { forms: OpenForms; children: ReactNode }) {
  return <FormsContext.Provider value={forms}>{children}</FormsContext.Provider>;
}

export interface OpenForm<T> {
  value: T;
  change: (next: T) => void;
  /** It was saved, or given up. */
  close: () => void;
}

/** The form of this name; null while it is not open. */
export function useOpenForm<T>(name: string): { form: OpenForm<T> | null; open: (first: T) => void } {
  const forms = useContext(FormsContext);
  if (!forms) throw new Error("useOpenForm outside of FormsProvider");
  const find = () => forms.find(name) as T | undefined;
  const value = useSyncExternalStore(forms.subscribe, find, find);
  const form =
    value === undefined
      ? null
      : { value, change: (next: T) => forms.change(name, next), close: () => forms.close(name) };
  return { form, open: (first) => forms.open(name, first) };
}
