import { useId } from "react";
import { IconButton } from "../../ui/controls";
import type { PanelProps } from "..";
import { bounds, field, readField } from "../schema";
import { LARGEST_SEED, randomSeed } from "./seed";

export function SeedField({ schema, values, onChange, problems }: PanelProps) {
  const id = useId();
  if (!field(schema, "seed")) return null;
  const seed = readField<number | null>(values, "seed");
  const { max } = bounds(schema, "seed", { min: 0, max: LARGEST_SEED });
  const type = (text: string) => {
    const digits = text.replace(/\D/g, "");
    onChange("seed", digits === "" ? null : Math.min(max, Number(digits)));
  };
  return (
    <div className="field">
      <label className="label" htmlFor={id}>
        Seed
      </label>
      <div className="seed">
        <input
          id={id}
          className="input"
          inputMode="numeric"
          autoComplete="off"
          placeholder="New each time"
          value={seed ?? ""}
          aria-describedby={`${id}-help`}
          aria-invalid={problems.seed !== undefined}
          onChange={(event) => type(event.target.value)}
        />
        <IconButton icon="dice" label="Roll a seed" onClick={() => onChange("seed", randomSeed())} />
        <IconButton
          icon="close"
          label="New seed each time"
          disabled={seed === null}
          onClick={() => onChange("seed", null)}
        />
      </div>
      <p id={`${id}-help`} className={problems.seed ? "field-help field-problem" : "field-help"}>
        {problems.seed ?? "The same seed and settings give the same video."}
      </p>
    </div>
  );
}
