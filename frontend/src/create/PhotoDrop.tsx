import { useRef } from "react";
import { PHOTO_TYPES } from "../api/upload";
import { Button, ProgressBar } from "../ui/controls";
import { percent } from "../ui/format";
import { Icon } from "../ui/Icon";
import { Callout } from "../ui/messages";
import type { useUpload } from "./useUpload";

type Uploading = ReturnType<typeof useUpload>;

/** Where a photo comes in: dropped, pasted, chosen; and how far it has come. */
export function PhotoDrop({ uploading, over }: { uploading: Uploading; over: boolean }) {
  const { upload, problem } = uploading;
  if (upload) return <OnItsWay uploading={uploading} />;
  return (
    <div className={over ? "stage stage-empty drop drop-over" : "stage stage-empty drop"}>
      <span className="drop-picture" aria-hidden="true">
        <Icon name="image" size={32} />
      </span>
      <h2>{over ? "Drop to begin" : "Start with a product photo"}</h2>
      <p className="muted">Drop it here, paste it, or choose one. JPEG, PNG or WebP up to 64 MB.</p>
      <ChooseButton onFile={uploading.start} />
      {problem && <Callout tone="error">{problem}</Callout>}
    </div>
  );
}

function OnItsWay({ uploading }: { uploading: Uploading }) {
  const { upload, cancel } = uploading;
  if (!upload) return null;
  const sent = upload.fraction >= 1;
  return (
    <div className="stage stage-empty uploading">
      <img src={upload.preview} alt="" className="uploading-photo" />
      <div className="uploading-note">
        <strong>{sent ? "Checking the photo…" : `Uploading ${percent(upload.fraction)}`}</strong>
        <ProgressBar value={upload.fraction} waiting={sent} label={`Uploading ${upload.name}`} />
        <Button look="quiet" icon="close" onClick={cancel}>
          Cancel
        </Button>
      </div>
    </div>
  );
}

export function ChooseButton({ onFile, small }: { onFile: (file: File) => void; small?: boolean }) {
  const input = useRef<HTMLInputElement>(null);
  return (
    <>
      <input
        ref={input}
        className="unseen"
        type="file"
        accept={PHOTO_TYPES}
        tabIndex={-1}
        aria-label="Photo file"
        onChange={(event) => {
          const file = event.target.files?.[0];
          if (file) onFile(file);
          event.target.value = "";
        }}
      />
      {small ? (
        <button type="button" className="strip-add" onClick={() => input.current?.click()}>
          <Icon name="plus" />
          <span>Add photo</span>
        </button>
      ) : (
        <Button look="primary" className="button-large" icon="upload" onClick={() => input.current?.click()}>
          Choose a photo
        </Button>
      )}
    </>
  );
}
