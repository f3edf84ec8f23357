import { useId } from "react";
import { sentence } from "../api/client";
import { useAssets } from "../api/queries";
import { stableUrl } from "../api/stableUrl";
import type { Asset } from "../api/types";
import { useMayEdit } from "../app/member";
import { useRetried } from "../feed/useRetried";
import { Button, ProgressBar } from "../ui/controls";
import { useNow } from "../ui/hooks";
import { Icon } from "../ui/Icon";
import { Callout } from "../ui/messages";
import { ChooseButton, UploadProblems } from "./PhotoDrop";
import { useUploads } from "./UploadProvider";

interface Props {
  selected: string | null;
  onSelect: (id: string) => void;
}

/** The workspace's photos, newest first: samples, everything that was uploaded, and what is on its way. */
export function PhotoStrip({ selected, onSelect }: Props) {
  const assets = useAssets();
  const { uploads, add, cancel } = useUploads();
  const mayEdit = useMayEdit();
  const name = useId();
  useNow(60_000); // so that no picture that is not loaded yet keeps an address that has ended
  const photos = assets.data?.pages.flatMap((page) => page.results) ?? [];
  return (
    <section className="strip" aria-label="Photos">
      {selected && <UploadProblems />}
      {assets.isError && !assets.data && (
        <Callout
          tone="error"
          title="Your photos could not be loaded"
          action={
            <Button icon="again" onClick={() => assets.refetch()}>
              Try again
            </Button>
          }
        >
          {sentence(assets.error)}
        </Callout>
      )}
      <div className="strip-row">
        {mayEdit && <ChooseButton small onFiles={(files) => add(files, true)} />}
        {uploads.map((one) => (
          <span key={one.id} className="strip-photo strip-upload" title={one.name}>
            <img src={one.preview} alt="" draggable={false} />
            <ProgressBar value={one.fraction} waiting={one.fraction >= 1} label={`Uploading ${one.name}`} />
          </span>
        ))}
        {selected && uploads.length > 0 && (
          <button type="button" className="strip-more" aria-label="Cancel uploading" onClick={cancel}>
            <Icon name="close" />
            Cancel
          </button>
        )}
        <fieldset className="strip-photos">
          <legend className="unseen">Your photos</legend>
          {photos.map((asset) => (
            <label key={asset.id} className="strip-photo" title={asset.name}>
              <input
                type="radio"
                name={name}
                className="unseen"
                checked={asset.id === selected}
                onChange={() => onSelect(asset.id)}
              />
              <Thumbnail asset={asset} />
            </label>
          ))}
          {assets.isPending && [1, 2, 3].map((one) => <span key={one} className="strip-photo skeleton" />)}
          {assets.hasNextPage && (
            <button type="button" className="strip-more" onClick={() => assets.fetchNextPage()}>
              {assets.isFetchNextPageError ? "Try again" : "Older"}
            </button>
          )}
        </fieldset>
      </div>
    </section>
  );
}

function Thumbnail({ asset }: { asset: Asset }) {
  const { attempt, onError } = useRetried();
  return (
    <img
      key={attempt}
      src={stableUrl(`thumbnail ${asset.id}`, asset.urls.thumbnail)}
      alt={asset.name}
      loading="lazy"
      draggable={false}
      onError={onError}
    />
  );
}
