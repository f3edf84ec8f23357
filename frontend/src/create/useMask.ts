import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useMemo, useReducer, useRef, useState } from "react";
import { keys } from "../api/keys";
import { automaticMask, saveMask } from "../api/queries";
import type { Asset } from "../api/types";
import { emptyHistory, historyReducer, visible, wanted } from "./history";
import { compose, emptyMask, loadMask, type MaskCanvas, toPng } from "./maskPixels";
import { type SaveState, Saves } from "./saves";

interface Bases {
  opened: MaskCanvas | null;
  automatic: MaskCanvas | null;
}

/** The mask of one photo while it is corrected: its pixels, its history, and keeping the server's copy the same. */
export function useMask(asset: Asset) {
  const cache = useQueryClient();
  const [history, change] = useReducer(historyReducer, emptyHistory);
  const bases = useBases(asset);
  const [save, setSave] = useState<SaveState>("saved");

  const { base: baseName, strokes } = useMemo(() => visible(history), [history]);
  const base = baseName === "automatic" ? bases.automatic : bases.opened;

  const prepare = () => {
    const want = wanted(history);
    const automatic = want === "automatic" || (want === "opened" && bases.openedIsAutomatic);
    const picture =
      want === "opened" ? bases.opened : painted(base ?? emptyMask(asset.width, asset.height), strokes);
    return async () => {
      const saved = automatic
        ? await automaticMask(asset.id)
        : await saveMask(asset.id, await toPng(picture as MaskCanvas));
      cache.setQueryData(keys.asset(asset.id), saved);
    };
  };
  const latest = useRef(prepare);
  latest.current = prepare;
  const [saves] = useState(() => new Saves(() => latest.current(), setSave));
  const opened = useRef(history.steps);
  useEffect(() => {
    if (history.steps === opened.current) return;
    opened.current = history.steps;
    saves.soon();
  }, [history.steps, saves]);
  useEffect(() => saves.leave, [saves]);

  const want = wanted(history);
  const canReset = want === "painted" || (want === "opened" && !bases.openedIsAutomatic && base !== null);
  return { history, change, base, strokes, save, flush: saves.flush, canReset, failed: bases.failed };
}

export type Mask = ReturnType<typeof useMask>;

function painted(base: MaskCanvas, strokes: Parameters<typeof compose>[2]): MaskCanvas {
  const canvas = document.createElement("canvas");
  compose(canvas, base, strokes);
  return canvas;
}

/** Loads the mask once it is there, and the automatic one again when a painted mask is given up. */
function useBases(asset: Asset) {
  const [bases, setBases] = useState<Bases>({ opened: null, automatic: null });
  const [openedIsAutomatic, setOpenedIsAutomatic] = useState(true);
  const cache = useQueryClient();
  // The address that did not load. Another one is tried when it arrives.
  const [lost, setLost] = useState<string | null>(null);
  const { id, width, height, mask } = asset;
  const isAutomatic = mask?.source !== "brush";
  const needed =
    mask?.state === "ready"
      ? bases.opened === null || (isAutomatic && bases.automatic === null)
        ? mask.url
        : null
      : null;
  const unfound = mask?.state === "failed" || mask?.state === "none";

  // Reads the address as it is when a mask is first needed; a signed address that changes later is no new mask.
  const address = useRef(needed);
  address.current = needed;
  const wants = needed !== null;
  const another = lost !== null && wants && needed !== lost;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the photo's size belongs to its id
  useEffect(() => {
    const url = address.current;
    if (!wants || !url || url === lost) return;
    let stale = false;
    loadMask(url, width, height).then(
      (canvas) => {
        if (stale) return;
        setLost(null);
        setOpenedIsAutomatic((now) => (bases.opened ? now : isAutomatic));
        setBases((now) => ({
          opened: now.opened ?? canvas,
          automatic: isAutomatic ? canvas : now.automatic,
        }));
      },
      () => {
        if (stale) return;
        setLost(url);
        void cache.invalidateQueries({ queryKey: keys.asset(id) });
      },
    );
    return () => {
      stale = true;
    };
  }, [id, wants, isAutomatic, another]);

  // Painting starts on an empty mask where none was found, and stays on it when the painted one was saved.
  useEffect(() => {
    if (!unfound) return;
    const blank = emptyMask(width, height);
    setBases((now) => ({ opened: now.opened ?? blank, automatic: now.automatic ?? blank }));
  }, [unfound, width, height]);

  return { ...bases, openedIsAutomatic, failed: lost !== null };
}
