import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useCallback, useRef } from "react";
import { fetchFraming } from "../api/queries";
import type { Asset, Framing } from "../api/types";
import { panelOf } from "../kinds";
import { field, type Schema, type Values } from "../kinds/schema";
import { characters } from "../ui/format";
import { useSettled } from "../ui/hooks";
import { useDraft } from "./DraftProvider";
import type { SaveState } from "./saves";

export interface FramingState {
  /** As it is known so far: while a new one is worked out, the one before. */
  framing: Framing | null;
  /** "later": it follows from a mask that is not there yet. */
  state: "known" | "working" | "failed" | "later";
  error: unknown;
  retry: () => void;
  /** The framing of what is chosen now, once it is known; as it stands when that takes too long. */
  settled: () => Promise<FramingState>;
}

const PATIENCE_MS = 4000;

/** What the video of the draft will show of the photo, asked again whenever something changes that decides it. */
export function useFraming(asset: Asset, save: SaveState): FramingState {
  const { draft, kinds } = useDraft();
  const values = draft.kind ? draft.values[draft.kind] : undefined;
  const relevant = decisive(values ?? {}, kinds[draft.kind ?? ""]?.schema ?? {});
  const mask = asset.mask ? `${asset.mask.state} ${asset.mask.source} ${asset.mask.id}` : "";
  const wanted = JSON.stringify({ ...relevant, asset_id: asset.id });
  const settings = useSettled(wanted, 250);
  const possible = draft.kind !== null && panelOf(draft.kind) !== null && asset.mask?.state !== "pending";
  const query = useQuery({
    queryKey: ["framing", settings, mask],
    queryFn: ({ signal }) => fetchFraming(JSON.parse(settings), signal),
    enabled: possible && save === "saved",
    placeholderData: keepPreviousData,
    staleTime: 60_000,
    retry: 1,
  });

  const saving = save === "waiting" || save === "saving";
  const working = settings !== wanted || query.isFetching || saving;
  const latest = useRef<FramingState | null>(null);
  const settled = useCallback(async () => {
    await until(() => latest.current?.state !== "working");
    return latest.current as FramingState;
  }, []);
  latest.current = {
    framing: query.isError ? null : (query.data ?? null),
    state: !possible ? "later" : working ? "working" : query.isError ? "failed" : "known",
    error: query.error,
    retry: () => void query.refetch(),
    settled,
  };
  return latest.current;
}

/** The values that decide what is told of a framing. A prompt that would be refused is told of where it is written. */
export function decisive(values: Values, schema: Schema): Values {
  const { seed: _seed, steps: _steps, prompt, ...others } = values;
  const most = Number(field(schema, "prompt")?.maxLength ?? Number.POSITIVE_INFINITY);
  return typeof prompt === "string" && characters(prompt) <= most ? { ...others, prompt } : others;
}

async function until(what: () => boolean): Promise<void> {
  const end = Date.now() + PATIENCE_MS;
  while (!what() && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 50));
}

/** Whether the framing has something to say that was not on the page yet. */
export function saysMore(framing: Framing | null, shown: Framing | null): boolean {
  const told = new Set(shown?.notices.map((notice) => notice.message));
  return framing?.notices.some((notice) => !told.has(notice.message)) ?? false;
}
