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
