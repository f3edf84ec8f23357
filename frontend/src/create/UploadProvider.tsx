import { useQueryClient } from "@tanstack/react-query";
import {
  createContext,
  type ReactNode,
  useContext,
  useEffect,
  useMemo,
  useRef,
  useState,
  useSyncExternalStore,
} from "react";
import { keys } from "../api/keys";
import type { Asset } from "../api/types";
import { uploadAsset } from "../api/upload";
import { useLookOnly, useMember } from "../app/member";
import { useAskBeforeLeaving } from "../ui/hooks";
import { useToast } from "../ui/messages";
import { useDraft } from "./DraftProvider";
import { UploadQueue, type UploadState } from "./uploadQueue";

interface Uploads extends UploadState {
  add: (files: File[], use: boolean) => void;
  cancel: () => void;
  dismiss: () => void;
}

const UploadContext = createContext<Uploads | null>(null);

export function useUploads(): Uploads {
  const uploads = useContext(UploadContext);
  if (!uploads) throw new Error("useUploads outside of UploadProvider");
  return uploads;
}

/** Above all pages, so that an upload goes on while its member looks at another one. */
export function UploadProvider({ children }: { children: ReactNode }) {
  const cache = useQueryClient();
  const { change } = useDraft();
  const tell = useToast();
  const lookOnly = useLookOnly();
  const largest = useMember().session.upload_bytes;

  const arrived = (asset: Asset, use: boolean) => {
    cache.setQueryData(keys.asset(asset.id), asset);
    void cache.invalidateQueries({ queryKey: keys.assetList });
    if (use) change({ type: "photo", assetId: asset.id });
    else tell(`“${asset.name}” is in the library`);
  };
  const latest = useRef(arrived);
  latest.current = arrived;
  const [queue] = useState(() => new UploadQueue(uploadAsset, (asset, use) => latest.current(asset, use)));
  const state = useSyncExternalStore(queue.subscribe, queue.snapshot, queue.snapshot);
  useEffect(
    () => () => {
      const lost = queue.leave();
      if (lost) tell(lost, "error");
    },
    [queue, tell],
  );
  useAskBeforeLeaving(state.uploads.length > 0);

  const uploads = useMemo(() => {
    const add = (files: File[], use: boolean) =>
      lookOnly ? tell(lookOnly, "error") : queue.add(files, use, largest);
    return { ...state, add, cancel: queue.cancel, dismiss: queue.dismiss };
  }, [state, queue, lookOnly, tell, largest]);
  return <UploadContext.Provider value={uploads}>{children}</UploadContext.Provider>;
}
