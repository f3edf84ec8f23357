import { useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useRef, useState } from "react";
import { keys } from "../api/keys";
import type { Asset } from "../api/types";
import { emptyMask, loadMask } from "./maskPixels";
import type { Bases } from "./unsaved";

const NONE: Bases = { opened: null, openedIsAutomatic: true, automatic: null, blank: null };

/**
 * Loads the mask once it is there, and the automatic one again when a painted mask is given up. `known` gets the id of
 * the mask that the stage opened with. `untouched`: no step lies on it.
 */
export function useBases(asset: Asset, kept: Bases | null, known: { current: string }, untouched: boolean) {
  const [bases, setBases] = useState<Bases>(kept ?? NONE);
  const cache = useQueryClient();
  // The address that did not load. Another one is tried when it arrives.
  const [lost, setLost] = useState<string | null>(null);
  const { id, width, height, mask } = asset;
  const isAutomatic = mask?.source !== "brush";
  const noAutomatic = bases.automatic === null || bases.automatic === bases.blank;
  const missing = bases.opened === null || (isAutomatic && noAutomatic);
  const needed = mask?.state === "ready" && missing ? mask.url : null;
  const unfound = mask?.state === "failed" || mask?.state === "none";

  // Reads the address as it is when a mask is first needed; a signed address that changes later is no new mask.
  const address = useRef(needed);
  address.current = needed;
  const wants = needed !== null;
  const another = lost !== null && wants && needed !== lost;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the photo's size belongs to its id
  useEffect(() => {
    const url = address.current;
    if (!wants || !mask || !url || url === lost) return;
    let stale = false;
    loadMask(url, width, height).then(
      (canvas) => {
        if (stale) return;
        setLost(null);
        if (bases.opened === null) known.current = mask.id;
        setBases((now) => ({
          ...now,
          opened: now.opened ?? canvas,
          openedIsAutomatic: now.opened ? now.openedIsAutomatic : isAutomatic,
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
  const blankNeeded = unfound && (bases.opened === null || bases.automatic === null);
  useEffect(() => {
    if (!blankNeeded) return;
    const blank = emptyMask(width, height);
    setBases((now) => ({
      ...now,
      opened: now.opened ?? blank,
      automatic: now.automatic ?? blank,
      blank: now.blank ?? blank,
    }));
  }, [blankNeeded, width, height]);

  // Found after all: nothing that was painted lies on the empty one any more.
  const replaced = untouched && !noAutomatic && bases.opened !== null && bases.opened === bases.blank;
  useEffect(() => {
    if (replaced) setBases((now) => ({ ...now, opened: now.automatic }));
  }, [replaced]);

  const openAnew = useCallback(() => {
    setLost(null);
    setBases(NONE);
  }, []);

  return { bases, failed: lost !== null, openAnew };
}
