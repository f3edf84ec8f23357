import { RadioGroup, Slider } from "../../ui/controls";
import { percent } from "../../ui/format";
import { Icon } from "../../ui/Icon";
import type { PanelProps } from "..";
import { bounds, choices, field, readField } from "../schema";
import { PromptField } from "./PromptField";
import { CameraPicture, FormatPicture, SubjectPicture } from "./pictures";
import { SeedField } from "./SeedField";
import { CAMERA, CAMERA_HINT, FORMAT_HINT, hasStrength, SUBJECT, SUBJECT_HINT, word } from "./words";

/** The form of image-to-video. What the model's schema does not have is not shown. */
export function Form(props: PanelProps) {
  return (
    <>
      <FormatAndLength {...props} />
      <CameraSection {...props} />
      <SubjectSection {...props} />
      <section className="form-section">
        <PromptField {...props} />
        <SeedField {...props} />
      </section>
      <More {...props} />
    </>
  );
}

function FormatAndLength({ schema, values, onChange }: PanelProps) {
  const formats = choices<string>(schema, "format");
  const length = bounds(schema, "seconds", { min: 3, max: 15 });
  const seconds = readField<number>(values, "seconds");
  return (
    <section className="form-section">
      {formats.length > 0 && (
        <RadioGroup
          legend="Format"
          look="tiles"
          columns={formats.length}
          value={readField<string>(values, "format")}
          onChange={(value) => onChange("format", value)}
          choices={formats.map((format) => ({
            value: format,
            label: format,
            hint: FORMAT_HINT[format],
            picture: <FormatPicture format={format} />,
          }))}
        />
      )}
      {field(schema, "seconds") && (
        <Slider
          label="Length"
          value={seconds}
          {...length}
          step={0.5}
          text={`${seconds} seconds`}
          onChange={(value) => onChange("seconds", value)}
        />
      )}
    </section>
  );
}

function CameraSection({ schema, values, onChange }: PanelProps) {
  const moves = choices<string>(schema, "camera.move");
  const move = readField<string>(values, "camera.move");
  if (moves.length === 0) return null;
  return (
    <section className="form-section">
      <RadioGroup
        legend="Camera move"
        look="tiles"
        value={move}
        onChange={(value) => onChange("camera.move", value)}
        choices={moves.map((value) => ({
          value,
          label: word(CAMERA, value),
          hint: CAMERA_HINT[value],
          picture: <CameraPicture move={value} />,
        }))}
      />
      <Strength
        {...{ schema, values, onChange }}
        path="camera.strength"
        label="Camera strength"
        choice={move}
      />
    </section>
  );
}

function SubjectSection({ schema, values, onChange }: PanelProps) {
  const motions = choices<string>(schema, "subject.motion");
  const motion = readField<string>(values, "subject.motion");
  if (motions.length === 0) return null;
  return (
    <section className="form-section">
      <RadioGroup
        legend="Subject motion"
        look="tiles"
        columns={motions.length}
        value={motion}
        onChange={(value) => onChange("subject.motion", value)}
        choices={motions.map((value) => ({
          value,
          label: word(SUBJECT, value),
          hint: SUBJECT_HINT[value],
          picture: <SubjectPicture motion={value} />,
        }))}
      />
      <Strength
        {...{ schema, values, onChange }}
        path="subject.strength"
        label="Subject strength"
        choice={motion}
      />
    </section>
  );
}

interface StrengthProps extends Omit<PanelProps, "problems"> {
  path: string;
  label: string;
  choice: string;
}

function Strength({ schema, values, onChange, path, label, choice }: StrengthProps) {
  if (!field(schema, path) || !hasStrength(choice)) return null;
  const value = readField<number>(values, path);
  return (
    <Slider
      label={label}
      compact
      value={value}
      {...bounds(schema, path, { min: 0.1, max: 1 })}
      step={0.05}
      text={percent(value)}
      onChange={(next) => onChange(path, next)}
    />
  );
}

function More({ schema, values, onChange }: PanelProps) {
  const rates = choices<number>(schema, "fps");
  const sides = choices<number>(schema, "short_side");
  const steps = field(schema, "steps") ? readField<number>(values, "steps") : null;
  if (rates.length === 0 && sides.length === 0 && steps === null) return null;
  return (
    <details className="form-section more">
      <summary>
        Size and quality
        <Icon name="chevron" />
      </summary>
      <div className="more-body">
        {sides.length > 0 && (
          <RadioGroup
            legend="Shorter side"
            value={readField<number>(values, "short_side")}
            onChange={(value) => onChange("short_side", value)}
            choices={sides.map((side) => ({ value: side, label: `${side} px` }))}
          />
        )}
        {rates.length > 0 && (
          <RadioGroup
            legend="Frames per second"
            value={readField<number>(values, "fps")}
            onChange={(value) => onChange("fps", value)}
            choices={rates.map((rate) => ({ value: rate, label: String(rate) }))}
          />
        )}
        {steps !== null && (
          <Slider
            label="Steps"
            value={steps}
            {...bounds(schema, "steps", { min: 4, max: 50 })}
            step={1}
            text={`${steps}`}
            onChange={(value) => onChange("steps", value)}
          />
        )}
      </div>
    </details>
  );
}
