import type { Asset } from "../api/types";

/** The id of a mask that is not there yet, as the studio writes it. */
export const AUTOMATIC = "auto";

/**
 * What a mask that the studio tells of is to the one on the stage, which it has under the id `known`: the same; the
 * automatic one that was asked for here, and is found now; or one from elsewhere, another tab or member.
 */
export function arrival(known: string, mask: Asset["mask"]): "same" | "found" | "elsewhere" {
  const id = mask?.id ?? AUTOMATIC;
  if (id === known) return "same";
  return known === AUTOMATIC && mask?.source !== "brush" ? "found" : "elsewhere";
}

/** How it stands with the mask on the stage. */
export interface Standing {
  shown: boolean;
  /** Something was painted, or is being painted, that the studio does not have. */
  unsaved: boolean;
  /** The studio may have a mask from here of which it has not told. */
  doubtful: boolean;
}

/**
 * What to do about it: nothing; know it by its id; show it; or say that what is painted here replaces it. A mask that
 * was found is only known: what is painted, undone or half drawn goes on.
 */
export function answerTo(
  known: string,
  mask: Asset["mask"],
  { shown, unsaved, doubtful }: Standing,
): "nothing" | "know" | "open" | "warn" {
  const other = arrival(known, mask);
  if (!shown || other === "same") return "nothing";
  if (other === "found") return "know";
  if (!unsaved) return "open";
  return doubtful ? "nothing" : "warn";
}
