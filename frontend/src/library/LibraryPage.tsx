import { useState } from "react";
import { sentence } from "../api/client";
import { useAssets, useDeleteAsset } from "../api/queries";
import { stableUrl } from "../api/stableUrl";
import type { Asset } from "../api/types";
import { go } from "../app/router";
import { useDraft } from "../create/DraftProvider";
import { ChooseButton } from "../create/PhotoDrop";
import { useDroppedPhotos, useUpload } from "../create/useUpload";
import { Confirm } from "../ui/Confirm";
import { Button, IconButton, ProgressBar } from "../ui/controls";
import { facts, fileSize, percent } from "../ui/format";
import { Callout, Empty, LoadFailed, useToast } from "../ui/messages";

/** The photos of the workspace: add, use, delete. */
export function LibraryPage() {
  const assets = useAssets();
  const tell = useToast();
  const uploading = useUpload((asset) => tell(`“${asset.name}” is in the library`));
  const over = useDroppedPhotos(uploading.start);
  const photos = assets.data?.pages.flatMap((page) => page.results) ?? [];
  return (
    <>
      <div className="page-head">
        <h1>Library</h1>
        <ChooseButton onFile={uploading.start} />
      </div>
      {uploading.problem && <Callout tone="error">{uploading.problem}</Callout>}
      {uploading.upload && (
        <div className="library-upload">
          <span>{facts(uploading.upload.name, percent(uploading.upload.fraction))}</span>
          <ProgressBar
            value={uploading.upload.fraction}
            waiting={uploading.upload.fraction >= 1}
            label={`Uploading ${uploading.upload.name}`}
          />
        </div>
      )}
      {assets.isPending ? (
        <div className="cards" role="status" aria-label="Loading photos">
          {[1, 2, 3, 4, 5, 6].map((one) => (
            <div key={one} className="card-frame skeleton" />
          ))}
        </div>
      ) : assets.isError && photos.length === 0 ? (
        <LoadFailed error={assets.error} retry={() => assets.refetch()} />
      ) : photos.length === 0 ? (
        <Empty icon="image" title="No photos yet">
          Drop product photos anywhere on this page, paste them, or choose them above.
        </Empty>
      ) : (
        <ul className="cards">
          {photos.map((asset) => (
            <li key={asset.id}>
              <PhotoCard asset={asset} />
            </li>
          ))}
        </ul>
      )}
      {assets.hasNextPage && (
        <div className="more-jobs">
          <Button busy={assets.isFetchingNextPage} onClick={() => assets.fetchNextPage()}>
            Show older photos
          </Button>
        </div>
      )}
      {over && <div className="drop-veil">Drop to add this photo</div>}
    </>
  );
}

function PhotoCard({ asset }: { asset: Asset }) {
  const { change } = useDraft();
  const remove = useDeleteAsset();
  const tell = useToast();
  const [asking, setAsking] = useState(false);
  const use = () => {
    change({ type: "photo", assetId: asset.id });
    go("/");
  };
  const picture = stableUrl(`thumbnail ${asset.id}`, asset.urls.thumbnail);
  return (
    <div className="card photo-card">
      <button
        type="button"
        className="card-frame"
        onClick={use}
        aria-label={`Create a video from ${asset.name}`}
      >
        <img className="card-back" src={picture} alt="" loading="lazy" />
        <img className="card-picture" src={picture} alt="" loading="lazy" />
      </button>
      <div className="photo-card-foot">
        <div>
          <span className="card-title">{asset.name}</span>
          <span className="card-meta">
            {facts(`${asset.width} × ${asset.height}`, fileSize(asset.bytes))}
          </span>
        </div>
        <IconButton icon="trash" label={`Delete ${asset.name}`} onClick={() => setAsking(true)} />
      </div>
      {asking && (
        <Confirm
          title="Delete this photo?"
          action="Delete photo"
          onClose={() => setAsking(false)}
          onConfirm={() => {
            setAsking(false);
            remove.mutate(asset.id, {
              onSuccess: () => tell("Photo deleted"),
              onError: (error) => tell(sentence(error), "error"),
            });
          }}
        >
          Videos that were made from it stay. It cannot be used for new ones.
        </Confirm>
      )}
    </div>
  );
}
