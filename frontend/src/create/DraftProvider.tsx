import { createContext, type ReactNode, useContext, useEffect, useMemo, useReducer } from "react";
import { useModels } from "../api/queries";
import type { KindSpec, Model } from "../api/types";
import { offeredKinds } from "../kinds";
import { type Draft, type DraftAction, draftReducer, loadDraft, storeDraft } from "./draft";

interface DraftState {
  /** Always fits the models on offer once they are known; until then it has no kind. */
  draft: Draft;
  change: (action: DraftAction) => void;
  kinds: Record<string, KindSpec & { model: Model }>;
}

const DraftContext = createContext<DraftState | null>(null);

export function useDraft(): DraftState {
  const state = useContext(DraftContext);
  if (!state) throw new Error("useDraft outside of DraftProvider");
  return state;
}

/** Keeps the draft over page changes and reloads. */
export function DraftProvider({ workspace, children }: { workspace: string; children: ReactNode }) {
  const { data: models } = useModels();
  const [stored, change] = useReducer(draftReducer, workspace, loadDraft);
  useEffect(() => storeDraft(workspace, stored), [workspace, stored]);

  const kinds = useMemo(() => offeredKinds(models ?? []), [models]);
  const draft = useMemo(() => draftReducer(stored, { type: "offered", kinds }), [stored, kinds]);

  const state = useMemo(() => {
    // The stored draft may still lack its kind; what the member sees is what a change applies to.
    const changeShown = (action: DraftAction) => {
      if (action.type === "field" && draft.kind) change({ type: "kind", kind: draft.kind });
      change(action);
    };
    return { draft, change: changeShown, kinds };
  }, [draft, kinds]);
  return <DraftContext.Provider value={state}>{children}</DraftContext.Provider>;
}
