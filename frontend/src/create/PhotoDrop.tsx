import { useEffect, useRef } from "react";
import { PHOTO_TYPES } from "../api/upload";
import { useLookOnly, useMember } from "../app/member";
import { Button, IconButton, ProgressBar } from "../ui/controls";
import { megabytes, percent } from "../ui/format";
import { Icon } from "../ui/Icon";
import { Callout } from "../ui/messages";
import { useUploads } from "./UploadProvider";
import type { Upload } from "./uploadQueue";

/** Where a photo comes in: dropped, pasted, chosen. */
export function PhotoDrop({ over }: { over: boolean }) {
  const { add } = useUploads();
  const lookOnly = useLookOnly();
  const largest = megabytes(useMember().session.upload_bytes);
  if (lookOnly) return <PickOne />;
  return (
    <div className={over ? "stage stage-empty drop drop-over" : "stage stage-empty drop"}>
      <span className="drop-picture" aria-hidden="true">
        <Icon name="image" size={32} />
      </span>
      <h2>{over ? "Drop to begin" : "Start with a product photo"}</h2>
      <p className="muted">Drop it here, paste it, or choose one. JPEG, PNG or WebP, up to {largest}.</p>
      <ChooseButton onFiles={(files) => add(files, true)} />
      <UploadProblems />
    </div>
  );
}

const PickOne = () => (
  <div className="stage stage-empty drop">
    <span className="drop-picture" aria-hidden="true">
      <Icon name="image" size={32} />
    </span>
    <h2>Look at a photo of this workspace</h2>
    <p className="muted">Pick one below to see its product mask and how a video would frame it.</p>
  </div>
);

/** Why some of the photos that were given last are not here. */
export function UploadProblems() {
  const { problems, dismiss } = useUploads();
  const here = useRef<HTMLDivElement>(null);
  // On a phone it is below what stays in sight, and in a long library above it.
  useEffect(() => {
    if (problems.length > 0) here.current?.scrollIntoView({ block: "nearest" });
  }, [problems]);
  if (problems.length === 0) return null;
  return (
    <div ref={here} className="upload-problems">
      <Callout tone="error" action={<IconButton icon="close" label="Dismiss" onClick={dismiss} />}>
        {problems.map((problem, place) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: two files of one name have the same problem
          <p key={place}>{problem}</p>
        ))}
      </Callout>
    </div>
  );
}

export function OnItsWay({ upload }: { upload: Upload }) {
  const { uploads, cancel } = useUploads();
  const sent = upload.fraction >= 1;
  const more = uploads.length - 1;
  return (
    <div className="stage stage-empty uploading">
      <img src={upload.preview} alt="" className="uploading-photo" />
      <div className="uploading-note">
        <strong>{sent ? "Checking the photo…" : `Uploading ${percent(upload.fraction)}`}</strong>
        <ProgressBar value={upload.fraction} waiting={sent} label={`Uploading ${upload.name}`} />
        {more > 0 && (
          <span className="small muted">
            {more === 1 ? "1 more photo follows" : `${more} more photos follow`}
          </span>
        )}
        <Button look="quiet" icon="close" onClick={cancel}>
          Cancel
        </Button>
      </div>
    </div>
  );
}

interface ChooseProps {
  onFiles: (files: File[]) => void;
  small?: boolean;
  label?: string;
}

export function ChooseButton({ onFiles, small, label = "Choose a photo" }: ChooseProps) {
  const input = useRef<HTMLInputElement>(null);
  return (
    <>
      <input
        ref={input}
        className="unseen"
        type="file"
        multiple
        accept={PHOTO_TYPES}
        tabIndex={-1}
        aria-label="Photo file"
        onChange={(event) => {
          const files = [...(event.target.files ?? [])];
          if (files.length > 0) onFiles(files);
          event.target.value = "";
        }}
      />
      {small ? (
        <button type="button" className="strip-add" onClick={() => input.current?.click()}>
          <Icon name="plus" />
          <span>Add photos</span>
        </button>
      ) : (
        <Button look="primary" className="button-large" icon="upload" onClick={() => input.current?.click()}>
          {label}
        </Button>
      )}
    </>
  );
}
