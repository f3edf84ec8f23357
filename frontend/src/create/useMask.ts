import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useMemo, useReducer, useRef, useState, useSyncExternalStore } from "react";
import { ApiError, sentence } from "../api/client";
import { keys } from "../api/keys";
import { automaticMask, saveMask } from "../api/queries";
import type { Asset } from "../api/types";
import { useMember } from "../app/member";
import { useToast } from "../ui/messages";
import { AUTOMATIC, answerTo, type Standing } from "./arrival";
import { emptyHistory, historyReducer, visible, wanted } from "./history";
import { compose, emptyMask, type MaskCanvas, toPng } from "./maskPixels";
import { Saves, type Trouble } from "./saves";
import { useUnsaved } from "./UnsavedProvider";
import { useBases } from "./useBases";

/** The mask of one photo while it is corrected: its pixels, its history, and keeping the server's copy the same. */
export function useMask(asset: Asset) {
  const cache = useQueryClient();
  const unsaved = useUnsaved();
  const tell = useToast();
  const { workspace } = useMember();
  // What could not be saved when this photo was left is gone on with.
  const [kept] = useState(() => unsaved.find(asset.id));
  const [history, change] = useReducer(historyReducer, kept?.history ?? emptyHistory);
  const [known] = useState(() => kept?.known ?? { current: AUTOMATIC });
  const { bases, failed, openAnew } = useBases(asset, kept?.bases ?? null, known, history.steps.length === 0);
  const [saves] = useState(() => kept?.saves ?? new Saves(() => () => Promise.resolve()));
  const save = useSyncExternalStore(saves.subscribe, saves.snapshot, saves.snapshot);

  const { base: baseName, strokes } = useMemo(() => visible(history), [history]);
  const base = baseName === "automatic" ? bases.automatic : bases.opened;

  saves.prepare = () => {
    const want = wanted(history);
    const automatic = want === "automatic" || (want === "opened" && bases.openedIsAutomatic);
    const picture =
      want === "opened" ? bases.opened : painted(base ?? emptyMask(asset.width, asset.height), strokes);
    return async () => {
      const saved = await (automatic
        ? automaticMask(workspace, asset.id)
        : saveMask(workspace, asset.id, await toPng(picture as MaskCanvas))
      ).catch(unlessGone);
      if (!saved) return;
      const queryKey = keys.asset(asset.id);
      // An answer from before this change would put the old mask back.
      await cache.cancelQueries({ queryKey, exact: true });
      known.current = saved.mask?.id ?? AUTOMATIC;
      // Nobody asks for it where another workspace is shown by now.
      if (cache.getQueryState(queryKey)) cache.setQueryData(queryKey, saved);
    };
  };
  const opened = useRef(history.steps);
  useEffect(() => {
    if (history.steps === opened.current) return;
    opened.current = history.steps;
    saves.soon();
  }, [history.steps, saves]);
  useEffect(() => {
    if (save !== "saved") unsaved.keep(asset.id, { history, bases, known, saves });
  }, [save, history, bases, known, saves, unsaved, asset.id]);
  const { name } = asset;
  useEffect(
    () => () => {
      // A refusal for good was told of on the stage.
      if (!saves.refused()) saves.flush().catch(() => tell(lostWords(name, saves.trouble()), "error"));
    },
    [saves, tell, name],
  );

  const reopen = () => {
    openAnew();
    opened.current = emptyHistory.steps;
    change({ type: "open" });
  };
  const standing = {
    shown: bases.opened !== null,
    unsaved: save !== "saved" || history.drawing !== null,
    doubtful: saves.doubtful(),
  };
  useOtherMasks(asset, known, standing, reopen);

  const want = wanted(history);
  const canReset = want === "painted" || (want === "opened" && !bases.openedIsAutomatic && base !== null);
  return {
    ...{ history, change, base, strokes, save, canReset, failed },
    flush: saves.flush,
    retry: saves.retry,
    trouble: saves.trouble(),
    /** The mask that is on the stage, by the id that a job names it by; null while there is none. */
    id: () => (known.current === AUTOMATIC ? null : known.current),
  };
}

export type Mask = ReturnType<typeof useMask>;

/** What becomes of a mask that could not be saved before its photo was left. */
function lostWords(photo: string, trouble: Trouble | null): string {
  const { error, final } = trouble ?? { error: null, final: false };
  if (final) return `The mask of “${photo}” was not saved. ${sentence(error)}`;
  const signedOut = error instanceof ApiError && error.status === 401;
  const again = signedOut
    ? "It is sent when you have signed in again."
    : "This page goes on trying to send it.";
  return `The mask of “${photo}” is not saved yet. ${again}`;
}

/** A photo that was deleted needs no mask; anything else is tried again. */
function unlessGone(error: unknown): null {
  if (error instanceof ApiError && error.status === 404) return null;
  throw error;
}

/** Shows the mask that the photo was given elsewhere, unless this one is not saved yet: then that one is replaced. */
function useOtherMasks(
  asset: Asset,
  known: { current: string },
  standing: Standing,
  reopen: () => void,
): void {
  const tell = useToast();
  const told = useRef<string | null>(null);
  const act = () => {
    const answer = answerTo(known.current, asset.mask, standing);
    const id = asset.mask?.id ?? AUTOMATIC;
    if (answer === "know") known.current = id;
    if (answer === "open") {
      known.current = id;
      reopen();
      tell(asset.mask?.state === "pending" ? RESET_ELSEWHERE : CHANGED_ELSEWHERE);
    }
    if (answer === "warn" && told.current !== id) {
      told.current = id;
      tell("The mask was changed elsewhere too. What you paint here replaces it.");
    }
  };
  const latest = useRef(act);
  latest.current = act;
  const { shown, unsaved, doubtful } = standing;
  // biome-ignore lint/correctness/useExhaustiveDependencies: looked at when another mask arrives, or this one is saved
  useEffect(() => latest.current(), [asset.mask?.id, asset.mask?.source, shown, unsaved, doubtful]);
}

const CHANGED_ELSEWHERE = "The mask was changed elsewhere. This is the new one.";
const RESET_ELSEWHERE = "The mask was given up elsewhere. The product is being looked for anew.";

function painted(base: MaskCanvas, strokes: Parameters<typeof compose>[2]): MaskCanvas {
  const canvas = document.createElement("canvas");
  compose(canvas, base, strokes);
  return canvas;
}
