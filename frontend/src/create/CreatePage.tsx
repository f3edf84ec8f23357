import { useEffect, useState } from "react";
import { ApiError } from "../api/client";
import { useAsset, useModels } from "../api/queries";
import { Spinner } from "../ui/controls";
import { useTitle } from "../ui/hooks";
import { Empty, LoadFailed } from "../ui/messages";
import { ControlPanel } from "./ControlPanel";
import { useDraft } from "./DraftProvider";
import { Editor } from "./Editor";
import { OnItsWay, PhotoDrop } from "./PhotoDrop";
import { PhotoStrip } from "./PhotoStrip";
import { useUploads } from "./UploadProvider";
import { useDroppedPhotos } from "./useDroppedPhotos";

/** Photo, mask and framing on the left, what shall happen on the right, Generate below it. */
export function CreatePage() {
  useTitle("Create");
  const { draft, change, kinds } = useDraft();
  const models = useModels();
  const photo = useAsset(draft.assetId);
  const { uploads, add } = useUploads();
  const over = useDroppedPhotos((files) => add(files, true));
  const coming = uploads.find((one) => one.use) ?? null;
  const [controls, setControls] = useState<HTMLElement | null>(null);
  const gone = photo.error instanceof ApiError && photo.error.status === 404;

  useEffect(() => {
    if (gone) change({ type: "photo", assetId: null });
  }, [gone, change]);

  // An error in the background takes nothing from the screen: what was loaded before is still good.
  if (models.isError && !models.data) {
    return <LoadFailed error={models.error} retry={() => models.refetch()} />;
  }
  if (models.data && Object.keys(kinds).length === 0) return <NoModel />;

  const asset = photo.data ?? null;
  const failed = photo.isError && !gone && draft.assetId !== null;
  return (
    <div className={over ? "create create-over" : "create"}>
      <h1 className="unseen">Create a video</h1>
      {asset ? (
        <Editor key={asset.id} asset={asset} uploading={coming !== null} controls={controls} />
      ) : (
        <section className="create-photo" aria-label="Photo">
          {coming ? (
            <OnItsWay upload={coming} />
          ) : failed ? (
            <LoadFailed error={photo.error} retry={() => photo.refetch()} />
          ) : draft.assetId && photo.isPending ? (
            <div className="stage stage-empty">
              <Spinner />
            </div>
          ) : (
            <PhotoDrop over={over} />
          )}
        </section>
      )}
      <PhotoStrip selected={asset?.id ?? null} onSelect={(id) => change({ type: "photo", assetId: id })} />
      <div className="create-controls" ref={setControls}>
        {!asset && <ControlPanel asset={null} uploading={coming !== null} framing={null} mask={null} />}
      </div>
      {over && asset && <div className="drop-veil">Drop to use this photo</div>}
    </div>
  );
}

const NoModel = () => (
  <Empty icon="film" title="No model is installed">
    The studio runs, but no installed model can make a video from a photo. An administrator can add a model
    bundle and restart the studio.
  </Empty>
);
