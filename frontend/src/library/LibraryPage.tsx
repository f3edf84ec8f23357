import { Fragment, useState } from "react";
import { sentence } from "../api/client";
import { useAssets, useDeleteAsset } from "../api/queries";
import { stableUrl } from "../api/stableUrl";
import type { Asset } from "../api/types";
import { useLookOnly, useMayEdit } from "../app/member";
import { go } from "../app/router";
import { useDraft } from "../create/DraftProvider";
import { ChooseButton, UploadProblems } from "../create/PhotoDrop";
import { useUnsaved } from "../create/UnsavedProvider";
import { useUploads } from "../create/UploadProvider";
import { useDroppedPhotos } from "../create/useDroppedPhotos";
import { useRetried } from "../feed/useRetried";
import { Confirm } from "../ui/Confirm";
import { Button, IconButton, ProgressBar } from "../ui/controls";
import { facts, fileSize, percent } from "../ui/format";
import { useNow, useTitle } from "../ui/hooks";
import { Empty, LoadFailed, useToast } from "../ui/messages";

/** The photos of the workspace: add, use, delete. */
export function LibraryPage() {
  useTitle("Library");
  const assets = useAssets();
  const { uploads, add, cancel } = useUploads();
  const lookOnly = useLookOnly();
  const addHere = (files: File[]) => add(files, false);
  const over = useDroppedPhotos(addHere);
  useNow(60_000); // so that no picture that is not loaded yet keeps an address that has ended
  const photos = assets.data?.pages.flatMap((page) => page.results) ?? [];
  return (
    <>
      <div className="page-head">
        <h1>Library</h1>
        {lookOnly === null && <ChooseButton onFiles={addHere} label="Add photos" />}
      </div>
      {lookOnly && <p className="muted page-note">{lookOnly}</p>}
      <UploadProblems />
      {uploads.length > 0 && (
        <div className="library-uploads">
          {uploads.map((one) => (
            <div key={one.id} className="library-upload">
              <span>{facts(one.name, one.fraction > 0 ? percent(one.fraction) : "waiting")}</span>
              <ProgressBar value={one.fraction} waiting={one.fraction >= 1} label={`Uploading ${one.name}`} />
            </div>
          ))}
          <Button look="quiet" icon="close" onClick={cancel}>
            Cancel
          </Button>
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
          {lookOnly
            ? "Nobody has added a product photo to this workspace."
            : "Drop product photos anywhere on this page, paste them, or choose them above."}
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
            {assets.isFetchNextPageError ? "That did not work. Try again" : "Show older photos"}
          </Button>
        </div>
      )}
      {over && <div className="drop-veil">Drop to add these photos</div>}
    </>
  );
}

function PhotoCard({ asset }: { asset: Asset }) {
  const { change } = useDraft();
  const remove = useDeleteAsset();
  const unsaved = useUnsaved();
  const mayEdit = useMayEdit();
  const tell = useToast();
  const [asking, setAsking] = useState(false);
  const use = () => {
    change({ type: "photo", assetId: asset.id });
    go("/");
  };
  const { attempt, onError } = useRetried();
  const picture = stableUrl(`thumbnail ${asset.id}`, asset.urls.thumbnail);
  return (
    <div className="card photo-card">
      <button
        type="button"
        className="card-frame"
        onClick={use}
        aria-label={`Create a video from ${asset.name}`}
      >
        <Fragment key={attempt}>
          <img
            className="card-back"
            src={picture}
            alt=""
            loading="lazy"
            draggable={false}
            onError={onError}
          />
          <img className="card-picture" src={picture} alt="" loading="lazy" draggable={false} />
        </Fragment>
      </button>
      <div className="photo-card-foot">
        <div>
          <span className="card-title">{asset.name}</span>
          <span className="card-meta">
            {facts(`${asset.width} × ${asset.height}`, fileSize(asset.bytes))}
          </span>
        </div>
        {mayEdit && (
          <IconButton icon="trash" label={`Delete ${asset.name}`} onClick={() => setAsking(true)} />
        )}
      </div>
      {asking && (
        <Confirm
          title="Delete this photo?"
          action="Delete photo"
          onClose={() => setAsking(false)}
          onConfirm={() => {
            setAsking(false);
            // A promise, because the callbacks of a mutation go with the page that asked.
            remove.mutateAsync(asset.id).then(
              () => {
                unsaved.forget(asset.id);
                change({ type: "deleted", assetId: asset.id });
                tell("Photo deleted");
              },
              (error) => tell(sentence(error), "error"),
            );
          }}
        >
          Videos that were made from it stay. It cannot be used for new ones.
        </Confirm>
      )}
    </div>
  );
}
