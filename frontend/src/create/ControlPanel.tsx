import type { Asset } from "../api/types";
import { useLookOnly } from "../app/member";
import { panelOf } from "../kinds";
import { Button, RadioGroup } from "../ui/controls";
import { Callout, useToast } from "../ui/messages";
import { useDraft } from "./DraftProvider";
import { Notes } from "./Notes";
import type { FramingState } from "./useFraming";
import { useGenerate } from "./useGenerate";
import type { Mask } from "./useMask";

interface Props {
  asset: Asset | null;
  /** A photo is on its way to the stage. */
  uploading: boolean;
  framing: FramingState | null;
  mask: Mask | null;
}

/** What shall happen: the panel of the chosen kind, what framing costs, and Generate. */
export function ControlPanel({ asset, uploading, framing, mask }: Props) {
  const { draft, change, kinds } = useDraft();
  const ready = asset !== null && !uploading;
  const { generate, busy, late, problem } = useGenerate(ready ? asset : null, framing, mask);
  const lookOnly = useLookOnly();
  const tell = useToast();
  const spec = draft.kind ? kinds[draft.kind] : undefined;
  const panel = draft.kind ? panelOf(draft.kind) : null;
  const values = draft.kind ? draft.values[draft.kind] : undefined;
  if (!spec || !panel || !values) return <PanelSkeleton />;
  const names = Object.keys(kinds);
  const toDefaults = () => {
    const kind = draft.kind as string;
    change({ type: "defaults" });
    const act = () => change({ type: "use", kind, settings: values });
    tell("Every setting is back at its default.", "info", { label: "Undo defaults", act });
  };
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
          problems={problem?.fields ?? {}}
          onChange={(path, value) => change({ type: "field", path, value })}
        />
        <div className="panel-foot">
          <span className="small muted">
            {spec.model.name} {spec.model.version}
          </span>
          <Button look="quiet" icon="reset" onClick={toDefaults}>
            Defaults
          </Button>
        </div>
      </div>
      <div className="generate">
        <div className="generate-stay">
          {problem && (
            <Callout tone="error" title={problem.title}>
              {problem.text}
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

const PanelSkeleton = () => (
  <div className="panel" aria-busy="true">
    <div className="panel-body">
      {[88, 24, 240, 88, 96].map((height) => (
        <div key={height} className="skeleton" style={{ height }} />
      ))}
    </div>
  </div>
);
