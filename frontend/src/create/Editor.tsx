import { useState } from "react";
import { createPortal } from "react-dom";
import type { Asset } from "../api/types";
import { useMayEdit } from "../app/member";
import { Button } from "../ui/controls";
import { Callout } from "../ui/messages";
import { ControlPanel } from "./ControlPanel";
import { useDraft } from "./DraftProvider";
import { SaveTrouble } from "./SaveTrouble";
import { Stage } from "./Stage";
import { clampBrush, StageToolbar, type Tool } from "./StageToolbar";
import { useFraming } from "./useFraming";
import { useMask } from "./useMask";
import { FITTED, type Viewport } from "./viewport";

interface Props {
  asset: Asset;
  uploading: boolean;
  /** Where the controls go once it is there: behind the other photos, so that Tab passes those first, as the eye does. */
  controls: HTMLElement | null;
}

/** One photo on the stage, with its mask and framing, beside the controls. */
export function Editor({ asset, uploading, controls }: Props) {
  const mask = useMask(asset);
  const framing = useFraming(asset, mask.save);
  const mayEdit = useMayEdit();
  const [tool, setTool] = useState<Tool>("look");
  const [brush, setBrush] = useState(0.05);
  const [showMask, setShowMask] = useState(true);
  const [view, setView] = useState<Viewport>(FITTED);
  const { draft } = useDraft();
  const ready = mask.base !== null && mayEdit;
  const label = String(draft.values[draft.kind ?? ""]?.format ?? "");

  const panel = <ControlPanel asset={asset} uploading={uploading} framing={framing} mask={mask} />;

  return (
    <>
      <section className="create-photo" aria-label="Photo, mask and framing">
        <StageToolbar
          {...{ mask, ready, tool, brush, showMask, view }}
          onTool={setTool}
          onBrush={(size) => setBrush(clampBrush(size))}
          onShowMask={setShowMask}
          onView={setView}
        />
        <Stage
          {...{ asset, mask, tool, brush, showMask, view, label }}
          framing={framing.framing}
          onView={setView}
        >
          {framing.state === "working" && (
            <div className="stage-chip stage-chip-late" role="status">
              <span className="spinner" aria-hidden="true" /> Working out the framing…
            </div>
          )}
          <SaveTrouble mask={mask} />
        </Stage>
        <MaskTrouble
          asset={asset}
          failed={mask.failed}
          painted={mask.history.steps.length > 0}
          onPaint={mayEdit ? () => setTool("brush") : null}
        />
      </section>
      {controls ? createPortal(panel, controls) : panel}
    </>
  );
}

interface TroubleProps {
  asset: Asset;
  failed: boolean;
  painted: boolean;
  onPaint: (() => void) | null;
}

function MaskTrouble({ asset, failed, painted, onPaint }: TroubleProps) {
  if (failed)
    return (
      <Callout tone="error">
        The mask could not be loaded. It is tried again by itself; reload the page to try now.
      </Callout>
    );
  const unfound = asset.mask?.state === "failed" || asset.mask?.state === "none";
  if (!unfound || painted) return null;
  return (
    <Callout
      tone="warn"
      title="The product was not found automatically"
      action={
        onPaint && (
          <Button icon="brush" onClick={onPaint}>
            Paint it
          </Button>
        )
      }
    >
      {asset.mask?.error ?? "Paint over it with the brush, so that it keeps its shape while the scene moves."}
    </Callout>
  );
}
