import { megabytes } from "../ui/format";
import { API, ApiError, problemFrom, requestHeaders } from "./client";
import type { Asset } from "./types";

/** Uploads one photo; `onProgress` gets 0..1. XMLHttpRequest, because fetch tells no upload progress. */
export function uploadAsset(
  file: File,
  onProgress: (fraction: number) => void,
  signal: AbortSignal,
): Promise<Asset> {
  return new Promise((resolve, reject) => {
    const http = new XMLHttpRequest();
    http.open("POST", `${API}/assets`);
    for (const [name, value] of Object.entries(requestHeaders("POST", "/assets")))
      http.setRequestHeader(name, value);
    http.upload.onprogress = (event) => {
      if (event.lengthComputable) onProgress(event.loaded / event.total);
    };
    http.onload = () => resolve(assetFrom(http));
    http.onerror = () => reject(new ApiError(0, "offline", BROKE_OFF));
    http.onabort = () => reject(new DOMException("Upload canceled", "AbortError"));
    signal.addEventListener("abort", () => http.abort(), { once: true });
    const form = new FormData();
    form.append("file", file, file.name || "photo.png");
    http.send(form);
  });
}

async function assetFrom({ status, responseText }: XMLHttpRequest): Promise<Asset> {
  if (status < 200 || status >= 300) throw problemFrom(status, responseText);
  try {
    return JSON.parse(responseText) as Asset;
  } catch {
    // What stands between this page and the studio may answer too: a proxy, or the sign-in of a network.
    throw new ApiError(status, "error", "The answer was not the studio's. Please try again.");
  }
}

const TYPES = ["image/jpeg", "image/png", "image/webp"];
export const PHOTO_TYPES = TYPES.join(",");

/** A browser does not tell a lost line from a studio that closes the door on a file that is far too large. */
const BROKE_OFF =
  "The upload broke off. Check that you are connected; if the file is very large, save a smaller copy.";

/** Why this file need not even be sent, or null. The studio decides, by content and size; this only saves a wait. */
export function refusal(file: { type: string; size: number; name: string }, largest: number): string | null {
  if (file.type && !TYPES.includes(file.type)) {
    return `“${file.name}” is not a photo the studio can read. Use JPEG, PNG or WebP.`;
  }
  if (file.size === 0) return `“${file.name}” is empty.`;
  if (file.size > largest) {
    return `“${file.name}” is larger than ${megabytes(largest)}. Save a smaller copy.`;
  }
  return null;
}
