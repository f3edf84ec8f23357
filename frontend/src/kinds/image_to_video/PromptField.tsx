import { useId } from "react";
import { characters } from "../../ui/format";
import type { PanelProps } from "..";
import { field, readField } from "../schema";

export function PromptField({ schema, values, onChange, problems }: PanelProps) {
  const id = useId();
  const node = field(schema, "prompt");
  if (!node) return null;
  const most = Number(node.maxLength ?? 2000);
  const prompt = readField<string>(values, "prompt");
  const used = characters(prompt);
  const tooLong = used > most;
  const problem = problems.prompt ?? (tooLong ? `Shorten the prompt by ${used - most} characters.` : null);
  return (
    <div className="field">
      <div className="field-head">
        <label className="label" htmlFor={id}>
          Prompt <span className="muted">optional</span>
        </label>
        <span id={`${id}-count`} className={tooLong ? "counter counter-over" : "counter"}>
          {used} / {most}
        </span>
      </div>
      <textarea
        id={id}
        className="textarea"
        dir="auto"
        rows={3}
        value={prompt}
        placeholder="Slow orbit to the left while soft light passes over the bottle"
        aria-describedby={`${id}-count ${id}-help`}
        aria-invalid={problem !== null}
        onChange={(event) => onChange("prompt", event.target.value)}
      />
      <p id={`${id}-help`} className={problem ? "field-help field-problem" : "field-help"}>
        {problem ?? "Guides whatever is on Auto. A move chosen above wins over the words."}
      </p>
    </div>
  );
}
