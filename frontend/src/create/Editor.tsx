import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { fetchFraming } from "../api/queries";
import type { Asset, Framing } from "../api/types";
import { panelOf } from "../kinds";
import { Button } from "../ui/controls";
import { useSettled } from "../ui/hooks";
import { Callout } from "../ui/messages";
import { ControlPanel } from "./ControlPanel";
import { useDraft } from "./DraftProvider";
import { Stage } from "./Stage";
import { clampBrush, StageToolbar, type Tool } from "./StageToolbar";
import { useMask } from "./useMask";
import { FITTED, type Viewport } from "./viewport";

/** One photo on the stage, with its mask and framing, beside the controls. */
export function Editor({ asset }: { asset: Asset }) {
  const mask = useMask(asset);
  const framing = useFraming(asset, mask.save === "saved");
  const [tool, setTool] = useState<Tool>("look");
  const [brush, setBrush] = useState(0.05);
  const [showMask, setShowMask] = useState(true);
  const [view, setView] = useState<Viewport>(FITTED);
  const { draft } = useDraft();
  const ready = mask.base !== null;
  const label = String(draft.values[draft.kind ?? ""]?.format ?? "");

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
        <Stage {...{ asset, mask, framing, tool, brush, showMask, view, label }} onView={setView} />
        <MaskTrouble
          asset={asset}
          failed={mask.failed}
          painted={mask.history.steps.length > 0}
          onPaint={() => setTool("brush")}
        />
      </section>
      <ControlPanel asset={asset} framing={framing} flush={mask.flush} />
    </>
  );
}

/** The framing of the draft as it was a moment ago; null while the server cannot tell one. */
function useFraming(asset: Asset, maskSaved: boolean): Framing | null {
  const { draft } = useDraft();
  const values = draft.kind ? draft.values[draft.kind] : undefined;
  const { seed: _seed, steps: _steps, ...relevant } = values ?? {};
  const mask = asset.mask ? `${asset.mask.state} ${asset.mask.source} ${asset.mask.url?.split("?")[0]}` : "";
  const settled = useSettled(JSON.stringify({ ...relevant, asset_id: asset.id }), 250);
  const query = useQuery({
    queryKey: ["framing", settled, mask],
    queryFn: ({ signal }) => fetchFraming(JSON.parse(settled), signal),
    enabled:
      draft.kind !== null && panelOf(draft.kind) !== null && asset.mask?.state !== "pending" && maskSaved,
    placeholderData: keepPreviousData,
    staleTime: 60_000,
    retry: false,
  });
  return query.isError ? null : (query.data ?? null);
}

interface TroubleProps {
  asset: Asset;
  failed: boolean;
  painted: boolean;
  onPaint: () => void;
}

function MaskTrouble({ asset, failed, painted, onPaint }: TroubleProps) {
  if (failed)
    return <Callout tone="error">The mask could not be loaded. Reload the page to try again.</Callout>;
  const unfound = asset.mask?.state === "failed" || asset.mask?.state === "none";
  if (!unfound || painted) return null;
  return (
    <Callout
      tone="warn"
      title="The product was not found automatically"
      action={
        <Button icon="brush" onClick={onPaint}>
          Paint it
        </Button>
      }
    >
      {asset.mask?.error ?? "Paint over it with the brush, so that it keeps its shape while the scene moves."}
    </Callout>
  );
}
