import { useId } from "react";
import { useAssets } from "../api/queries";
import { stableUrl } from "../api/stableUrl";
import { Callout } from "../ui/messages";
import { ChooseButton } from "./PhotoDrop";
import type { useUpload } from "./useUpload";

interface Props {
  uploading: ReturnType<typeof useUpload>;
  selected: string | null;
  onSelect: (id: string) => void;
}

/** The workspace's photos, newest first: samples and everything that was uploaded. */
export function PhotoStrip({ uploading, selected, onSelect }: Props) {
  const assets = useAssets();
  const name = useId();
  const photos = assets.data?.pages.flatMap((page) => page.results) ?? [];
  return (
    <section className="strip" aria-label="Photos">
      {selected && uploading.problem && <Callout tone="error">{uploading.problem}</Callout>}
      <div className="strip-row">
        <ChooseButton small onFile={uploading.start} />
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
              <img
                src={stableUrl(`thumbnail ${asset.id}`, asset.urls.thumbnail)}
                alt={asset.name}
                loading="lazy"
              />
            </label>
          ))}
          {assets.isPending && [1, 2, 3].map((one) => <span key={one} className="strip-photo skeleton" />)}
          {assets.hasNextPage && (
            <button type="button" className="strip-more" onClick={() => assets.fetchNextPage()}>
              Older
            </button>
          )}
        </fieldset>
      </div>
    </section>
  );
}
