import type { Role } from "../app/member";

/** What each role may do, each also what those before it may. */
export const MAY: Record<Role, string> = {
  viewer: "Looks at photos, videos and the brand, and downloads them.",
  reviewer: "Looks and downloads, as a viewer does.",
  editor: "Uploads, paints masks, generates, cancels and deletes; changes the brand and its products.",
  admin: "Adds people, gives roles up to their own, makes API keys.",
  owner: "Everything. A workspace always keeps one.",
};
