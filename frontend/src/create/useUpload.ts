import { useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useRef, useState } from "react";
import { sentence } from "../api/client";
import { keys } from "../api/queries";
import type { Asset } from "../api/types";
import { refusal, uploadAsset } from "../api/upload";

export interface Upload {
  name: string;
  /** The photo as it lies on this machine. */
  preview: string;
  fraction: number;
}

/** Sends one photo at a time; a new one takes the place of one that is still on its way. */
export function useUpload(onDone: (asset: Asset) => void) {
  const cache = useQueryClient();
  const [upload, setUpload] = useState<Upload | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const abort = useRef<AbortController | null>(null);
  const done = useRef(onDone);
  done.current = onDone;

  useEffect(() => () => abort.current?.abort(), []);

  const start = useCallback(
    async (file: File) => {
      const refused = refusal(file);
      setProblem(refused);
      if (refused) return;
      abort.current?.abort();
      const mine = new AbortController();
      abort.current = mine;
      const preview = URL.createObjectURL(file);
      setUpload({ name: file.name, preview, fraction: 0 });
      try {
        const asset = await uploadAsset(
          file,
          (fraction) => setUpload((now) => (now?.preview === preview ? { ...now, fraction } : now)),
          mine.signal,
        );
        cache.setQueryData(keys.asset(asset.id), asset);
        void cache.invalidateQueries({ queryKey: keys.assetList });
        done.current(asset);
      } catch (error) {
        if (!mine.signal.aborted) setProblem(sentence(error));
      } finally {
        setUpload((now) => (now?.preview === preview ? null : now));
        URL.revokeObjectURL(preview);
      }
    },
    [cache],
  );

  const cancel = useCallback(() => abort.current?.abort(), []);
  const dismiss = useCallback(() => setProblem(null), []);
  return { upload, problem, start, cancel, dismiss };
}

/** Photos that are dropped or pasted anywhere on the page. */
export function useDroppedPhotos(onPhoto: (file: File) => void): boolean {
  const [over, setOver] = useState(false);
  const take = useRef(onPhoto);
  take.current = onPhoto;
  useEffect(() => {
    const hasFiles = (event: DragEvent) => event.dataTransfer?.types.includes("Files") ?? false;
    const dragOver = (event: DragEvent) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      setOver(true);
    };
    const leave = (event: DragEvent) => {
      if (event.relatedTarget === null) setOver(false);
    };
    const drop = (event: DragEvent) => {
      setOver(false);
      const file = event.dataTransfer?.files[0];
      if (!file) return;
      event.preventDefault();
      take.current(file);
    };
    const paste = (event: ClipboardEvent) => {
      const file = event.clipboardData?.files[0];
      if (file) take.current(file);
    };
    window.addEventListener("dragover", dragOver);
    window.addEventListener("dragleave", leave);
    window.addEventListener("drop", drop);
    window.addEventListener("paste", paste);
    return () => {
      window.removeEventListener("dragover", dragOver);
      window.removeEventListener("dragleave", leave);
      window.removeEventListener("drop", drop);
      window.removeEventListener("paste", paste);
    };
  }, []);
  return over;
}
