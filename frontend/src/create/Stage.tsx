import { useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useRef } from "react";
import { useFile } from "../api/file";
import { keys } from "../api/keys";
import type { Asset, Framing } from "../api/types";
import { Button, Spinner } from "../ui/controls";
import { useSize } from "../ui/hooks";
import { Icon } from "../ui/Icon";
import { KeyboardBrush } from "./KeyboardBrush";
import { MaskLayer } from "./MaskLayer";
import type { Tool } from "./StageToolbar";
import type { Mask } from "./useMask";
import { useStagePointer } from "./useStagePointer";
import { fitPhoto, type Viewport } from "./viewport";

interface StageProps {
  asset: Asset;
  mask: Mask;
  framing: Framing | null;
  tool: Tool;
  brush: number;
  showMask: boolean;
  view: Viewport;
  onView: (change: (view: Viewport) => Viewport) => void;
  label: string;
  children?: ReactNode;
}

/** The photo with its mask and the window of the video, to look at and to paint on. */
export function Stage(props: StageProps) {
  const { asset, mask, framing, tool, brush, view, onView, showMask } = props;
  const [ref, size] = useSize<HTMLDivElement>();
  const padded = { width: Math.max(0, size.width - 48), height: Math.max(0, size.height - 48) };
  const box = fitPhoto(padded.width, padded.height, asset.width / asset.height, framing?.window ?? null);
  const photo = useRef<HTMLDivElement>(null);
  const painting = tool !== "look" && mask.base !== null;
  const zoomed = view.scale > 1;
  const pointer = useStagePointer({ photo, stage: ref, painting, tool, brush, mask, box, zoomed, onView });

  return (
    <div
      ref={ref}
      className={`stage stage-${painting ? "paint" : "look"} ${zoomed ? "stage-zoomed" : ""}`}
      {...pointer.handlers}
    >
      {size.width > 0 && (
        <div
          ref={photo}
          className="stage-photo"
          style={{
            left: 24 + box.left,
            top: 24 + box.top,
            width: box.width,
            height: box.height,
            transform: `translate(${view.x}px, ${view.y}px) scale(${view.scale})`,
            transformOrigin: `${padded.width / 2 - box.left}px ${padded.height / 2 - box.top}px`,
          }}
        >
          <Photo asset={asset} backdrop={framing?.backdrop ?? null} />
          <MaskLayer mask={mask} shown={showMask} strong={painting} />
          {framing && <FramingWindow framing={framing} label={props.label} faint={painting} />}
        </div>
      )}
      {painting && (
        <BrushCursor
          at={pointer.cursor}
          diameter={brush * box.width * view.scale}
          eraser={tool === "eraser"}
        />
      )}
      {painting && (
        <KeyboardBrush
          {...{ mask, tool, brush, asset, box, view }}
          centre={{ x: size.width / 2, y: size.height / 2 }}
        />
      )}
      {asset.mask?.state === "pending" && (
        <div className="stage-chip" role="status">
          <span className="spinner" aria-hidden="true" /> Finding the product…
        </div>
      )}
      {props.children}
    </div>
  );
}

/** `backdrop`: the colour that the video shows where the photo is see-through. */
export function Photo({ asset, backdrop }: { asset: Asset; backdrop: string | null }) {
  const cache = useQueryClient();
  const askAgain = () => cache.invalidateQueries({ queryKey: keys.asset(asset.id) });
  const file = useFile(`content ${asset.id}`, asset.urls.content, askAgain);
  if (file.state === "asking") {
    return (
      <div className="photo-failed" role="status" aria-label="Loading the photo">
        <Spinner />
      </div>
    );
  }
  if (file.state === "failed") {
    return (
      <div className="photo-failed" role="alert">
        <Icon name="alert" /> The photo could not be loaded.
        <Button icon="again" onClick={file.retry}>
          Try again
        </Button>
      </div>
    );
  }
  return (
    <img
      key={file.attempt}
      className={asset.mask?.state === "pending" ? "photo photo-pending" : "photo"}
      src={file.url}
      style={backdrop === null ? undefined : { background: backdrop }}
      alt={asset.name}
      draggable={false}
      onError={file.onError}
    />
  );
}

function FramingWindow({ framing, label, faint }: { framing: Framing; label: string; faint: boolean }) {
  const [x0, y0, x1, y1] = framing.window;
  const place = {
    left: `${x0 * 100}%`,
    top: `${y0 * 100}%`,
    width: `${(x1 - x0) * 100}%`,
    height: `${(y1 - y0) * 100}%`,
  };
  const look = faint ? "framing framing-faint" : "framing";
  return (
    <>
      <div className="framing-veil">
        <div className={look} style={place} />
      </div>
      <div className={`${look} framing-edge`} style={place} data-testid="framing-window">
        {framing.extended && <div className="framing-extended" />}
        <span className="framing-label">{label}</span>
      </div>
    </>
  );
}

interface CursorProps {
  at: { x: number; y: number } | null;
  diameter: number;
  eraser: boolean;
}

function BrushCursor({ at, diameter, eraser }: CursorProps) {
  if (!at) return null;
  return (
    <div
      className={eraser ? "brush-cursor brush-cursor-eraser" : "brush-cursor"}
      style={{
        width: diameter,
        height: diameter,
        transform: `translate(${at.x - diameter / 2}px, ${at.y - diameter / 2}px)`,
      }}
    />
  );
}
