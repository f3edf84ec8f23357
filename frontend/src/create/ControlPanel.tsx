import { useEffect, useState } from "react";
import { ApiError, sentence } from "../api/client";
import { useCreateJob } from "../api/queries";
import type { Asset, Settings } from "../api/types";
import { useLookOnly } from "../app/member";
import { go } from "../app/router";
import { attemptAt, attemptEnded } from "../jobs/attempt";
import { panelOf } from "../kinds";
import { Button, RadioGroup } from "../ui/controls";
import { Callout } from "../ui/messages";
import { useDraft } from "./DraftProvider";
import { Notes } from "./Notes";
import { type FramingState, saysMore } from "./useFraming";

interface Props {
  asset: Asset | null;
  /** A photo is on its way to the stage. */
  uploading: boolean;
  framing: FramingState | null;
  /** Makes sure that the painted mask has reached the server. */
  flush: (() => Promise<void>) | null;
}

/** What shall happen: the panel of the chosen kind, what framing costs, and Generate. */
export function ControlPanel({ asset, uploading, framing, flush }: Props) {
  const { draft, change, kinds } = useDraft();
  const ready = asset !== null && !uploading;
  const { generate, busy, late, problem, problems } = useGenerate(ready ? asset : null, framing, flush);
  const lookOnly = useLookOnly();
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
        <div className="generate-stay">
          {problem && (
            <Callout tone="error" title="Nothing was started">
              {problem}
            </Callout>
          )}
          <Notes asset={asset} framing={framing} late={late} />
          {lookOnly ? (
            <Callout>{lookOnly}</Callout>
          ) : (
            <Button
              type="submit"
              look="primary"
              className="button-large generate-button"
              icon="sparkle"
              busy={busy}
              disabled={!ready}
            >
              {uploading ? "Uploading…" : asset ? "Generate" : "Choose a photo first"}
            </Button>
          )}
        </div>
      </div>
    </form>
  );
}

function useGenerate(asset: Asset | null, framing: FramingState | null, flush: Props["flush"]) {
  const { draft } = useDraft();
  const create = useCreateJob();
  const lookOnly = useLookOnly();
  const [busy, setBusy] = useState(false);
  const [late, setLate] = useState(false);
  const [error, setError] = useState<unknown>(null);

  // What was refused is being corrected: the refusal speaks of something that is not there any more.
  const values = draft.kind ? draft.values[draft.kind] : undefined;
  // biome-ignore lint/correctness/useExhaustiveDependencies: what they are is not read, only that they change
  useEffect(() => setError(null), [draft.kind, JSON.stringify(values), asset?.id]);

  const start = async (kind: string, settings: Settings) => {
    // The same request again after a lost answer must not start a second job.
    const action = `generate ${JSON.stringify([kind, settings])}`;
    try {
      await flush?.();
      const job = await create.mutateAsync({ kind, settings, attempt: attemptAt(action, settings).name });
      attemptEnded(action);
      go(`/videos/${job.id}`);
    } catch (refused) {
      attemptEnded(action, refused);
      setError(refused);
      setBusy(false);
    }
  };

  const generate = async () => {
    if (!asset || !draft.kind || busy || lookOnly) return;
    const { kind: _, ...values } = draft.values[draft.kind] ?? {};
    setBusy(true);
    setError(null);
    setLate(false);
    const settled = await framing?.settled();
    if (settled && saysMore(settled.framing, framing?.framing ?? null)) {
      setLate(true);
      setBusy(false);
      return;
    }
    await start(draft.kind, { ...values, asset_id: asset.id });
  };

  return {
    generate,
    busy,
    late,
    problem: error === null ? null : sentence(error),
    problems: fieldProblems(error),
  };
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
