import { useRef, useState } from "react";
import { ApiError, sentence } from "../api/client";
import { useCreateJob } from "../api/queries";
import type { Asset, Framing, Settings } from "../api/types";
import { go } from "../app/router";
import { panelOf } from "../kinds";
import { Button, RadioGroup } from "../ui/controls";
import { attemptName } from "../ui/hooks";
import { Callout } from "../ui/messages";
import { useDraft } from "./DraftProvider";

interface Props {
  asset: Asset | null;
  uploading?: boolean;
  framing: Framing | null;
  /** Makes sure that the painted mask has reached the server. */
  flush: (() => Promise<void>) | null;
}

/** What shall happen: the panel of the chosen kind, what framing costs, and Generate. */
export function ControlPanel({ asset, uploading, framing, flush }: Props) {
  const { draft, change, kinds } = useDraft();
  const { generate, busy, problem, problems } = useGenerate(asset, flush);
  const spec = draft.kind ? kinds[draft.kind] : undefined;
  const panel = draft.kind ? panelOf(draft.kind) : null;
  const values = draft.kind ? draft.values[draft.kind] : undefined;
  if (!spec || !panel || !values) return <PanelSkeleton />;
  const names = Object.keys(kinds);
  return (
    <form
      className="panel"
      aria-label="Settings"
      onSubmit={(event) => {
        event.preventDefault();
        void generate();
      }}
    >
      <div className="panel-body">
        {names.length > 1 && (
          <RadioGroup
            legend="Kind"
            hideLegend
            look="tabs"
            value={draft.kind as string}
            onChange={(kind) => change({ type: "kind", kind })}
            choices={names.map((name) => ({ value: name, label: kinds[name]?.title ?? name }))}
          />
        )}
        <panel.Form
          schema={spec.schema}
          values={values}
          problems={problems}
          onChange={(path, value) => change({ type: "field", path, value })}
        />
        <div className="panel-foot">
          <span className="small muted">
            {spec.model.name} {spec.model.version}
          </span>
          <Button look="quiet" icon="reset" onClick={() => change({ type: "defaults" })}>
            Defaults
          </Button>
        </div>
      </div>
      <div className="generate">
        <div aria-live="polite" className="generate-notes">
          {framing?.notices.map((notice) => (
            <Callout key={notice.code + notice.message} tone="warn">
              {notice.message}
            </Callout>
          ))}
        </div>
        {problem && (
          <Callout tone="error" title="Nothing was started">
            {problem}
          </Callout>
        )}
        <div className="generate-stay">
          <Button
            type="submit"
            look="primary"
            className="button-large generate-button"
            icon="sparkle"
            busy={busy}
            disabled={!canStart(asset)}
          >
            {waitingFor(asset, uploading) ?? "Generate"}
          </Button>
        </div>
      </div>
    </form>
  );
}

const canStart = (asset: Asset | null) => asset !== null && asset.mask?.state !== "pending";

function waitingFor(asset: Asset | null, uploading = false): string | null {
  if (uploading) return "Uploading…";
  if (!asset) return "Choose a photo first";
  return asset.mask?.state === "pending" ? "Finding the product…" : null;
}

function useGenerate(asset: Asset | null, flush: Props["flush"]) {
  const { draft } = useDraft();
  const create = useCreateJob();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const attempt = useRef({ body: "", name: "" });

  const generate = async () => {
    if (!asset || !draft.kind || busy || !canStart(asset)) return;
    const { kind: _, ...values } = draft.values[draft.kind] ?? {};
    const settings: Settings = { ...values, asset_id: asset.id };
    const body = JSON.stringify([draft.kind, settings]);
    // The same request again after a lost answer must not start a second job.
    if (attempt.current.body !== body) attempt.current = { body, name: attemptName() };
    setBusy(true);
    setError(null);
    try {
      await flush?.();
      const job = await create.mutateAsync({ kind: draft.kind, settings, attempt: attempt.current.name });
      go(`/videos/${job.id}`);
    } catch (refused) {
      if (!(refused instanceof ApiError && refused.offline)) attempt.current = { body: "", name: "" };
      setError(refused);
      setBusy(false);
    }
  };

  const problems = fieldProblems(error);
  return { generate, busy, problem: error === null ? null : sentence(error), problems };
}

/** "settings.camera.strength" or "camera.strength" -> what is wrong with it. */
function fieldProblems(error: unknown): Record<string, string> {
  if (!(error instanceof ApiError)) return {};
  return Object.fromEntries(error.errors.map((one) => [one.field.replace(/^settings\./, ""), one.detail]));
}

const PanelSkeleton = () => (
  <div className="panel" aria-busy="true">
    <div className="panel-body">
      {[88, 24, 240, 88, 96].map((height) => (
        <div key={height} className="skeleton" style={{ height }} />
      ))}
    </div>
  </div>
);
