import type { KindSpec } from "../api/types";
import { adapt, type Values, withField } from "../kinds/schema";

/** What the member is about to generate. Values are kept for each kind, so that switching loses nothing. */
export interface Draft {
  assetId: string | null;
  kind: string | null;
  values: Record<string, Values>;
}

export type DraftAction =
  | { type: "photo"; assetId: string | null }
  | { type: "deleted"; assetId: string }
  | { type: "kind"; kind: string }
  | { type: "field"; path: string; value: unknown }
  | { type: "use"; kind: string; settings: Values }
  | { type: "defaults" }
  | { type: "offered"; kinds: Record<string, KindSpec> };

export const emptyDraft: Draft = { assetId: null, kind: null, values: {} };

/** Needs the offered kinds to know what a value may be; see `offered`. */
export function draftReducer(draft: Draft, action: DraftAction): Draft {
  switch (action.type) {
    case "photo":
      return { ...draft, assetId: action.assetId };
    case "deleted":
      return draft.assetId === action.assetId ? { ...draft, assetId: null } : draft;
    case "kind":
      return { ...draft, kind: action.kind };
    case "field":
      if (!draft.kind) return draft;
      return withValues(
        draft,
        draft.kind,
        withField(draft.values[draft.kind] ?? {}, action.path, action.value),
      );
    case "use": {
      // The mask is the one on the stage, where it can be corrected, not the one of that job.
      const { asset_id, kind: _kind, mask: _mask, ...values } = action.settings;
      const assetId = typeof asset_id === "string" ? asset_id : draft.assetId;
      return withValues({ ...draft, assetId, kind: action.kind }, action.kind, values);
    }
    case "defaults":
      return draft.kind ? withValues(draft, draft.kind, {}) : draft;
    case "offered":
      return offered(draft, action.kinds);
  }
}

/** The draft as the models on offer allow it: another model may lack a move or allow fewer seconds. */
function offered(draft: Draft, kinds: Record<string, KindSpec>): Draft {
  const names = Object.keys(kinds);
  const kind = draft.kind && names.includes(draft.kind) ? draft.kind : (names[0] ?? null);
  const values = Object.fromEntries(
    Object.entries(kinds).map(([name, spec]) => [
      name,
      adapt(spec.schema, spec.defaults, draft.values[name] ?? {}),
    ]),
  );
  return { ...draft, kind, values };
}

const withValues = (draft: Draft, kind: string, values: Values): Draft => ({
  ...draft,
  values: { ...draft.values, [kind]: values },
});

const STORE = "aquarius.draft";

export function loadDraft(workspace: string): Draft {
  try {
    const stored = JSON.parse(localStorage.getItem(`${STORE}.${workspace}`) ?? "null") as Draft | null;
    return stored ? { ...emptyDraft, ...stored } : emptyDraft;
  } catch {
    return emptyDraft;
  }
}

export function storeDraft(workspace: string, draft: Draft): void {
  try {
    localStorage.setItem(`${STORE}.${workspace}`, JSON.stringify(draft));
  } catch {
    // A full or forbidden store only costs the draft its survival of a reload.
  }
}
