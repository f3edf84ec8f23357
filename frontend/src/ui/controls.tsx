import { type ComponentProps, type ReactNode, useId } from "react";
import { Icon, type IconName } from "./Icon";

interface ButtonProps extends ComponentProps<"button"> {
  look?: "primary" | "plain" | "quiet" | "danger";
  icon?: IconName;
  busy?: boolean;
}

export function Button({ look = "plain", icon, busy, children, className, disabled, ...rest }: ButtonProps) {
  return (
    <button
      type="button"
      className={`button button-${look} ${className ?? ""}`}
      disabled={disabled || busy}
      aria-busy={busy || undefined}
      {...rest}
    >
      {busy ? <Spinner /> : icon && <Icon name={icon} />}
      {children && <span>{children}</span>}
    </button>
  );
}

interface IconButtonProps extends ComponentProps<"button"> {
  icon: IconName;
  /** Read aloud and shown as a tooltip. */
  label: string;
  keys?: string;
  pressed?: boolean;
}

export function IconButton({ icon, label, keys, pressed, className, ...rest }: IconButtonProps) {
  return (
    <button
      type="button"
      className={`icon-button ${className ?? ""}`}
      aria-label={label}
      aria-pressed={pressed}
      aria-keyshortcuts={keys}
      title={keys ? `${label} (${keys})` : label}
      {...rest}
    >
      <Icon name={icon} />
    </button>
  );
}

export const Spinner = () => <span className="spinner" aria-hidden="true" />;

export interface Choice<T extends string | number> {
  value: T;
  label: string;
  picture?: ReactNode;
  hint?: string;
}

interface RadioGroupProps<T extends string | number> {
  legend: string;
  choices: Choice<T>[];
  value: T;
  onChange: (value: T) => void;
  look?: "segments" | "tiles" | "tabs";
  columns?: number;
  hideLegend?: boolean;
  className?: string;
}

/** Native radio buttons behind the picture: arrows, roles and forms come from the browser. */
export function RadioGroup<T extends string | number>(props: RadioGroupProps<T>) {
  const { legend, choices, value, onChange, look = "segments", hideLegend, className } = props;
  const name = useId();
  return (
    <fieldset className={`radio-group radio-${look} ${className ?? ""}`}>
      <legend className={hideLegend ? "unseen" : "label"}>{legend}</legend>
      <div
        className="radio-choices"
        style={props.columns ? { gridTemplateColumns: `repeat(${props.columns}, 1fr)` } : undefined}
      >
        {choices.map((choice) => (
          <label key={choice.value} className="radio" title={choice.hint}>
            <input
              type="radio"
              name={name}
              value={choice.value}
              checked={choice.value === value}
              onChange={() => onChange(choice.value)}
            />
            <span className="radio-face">
              {choice.picture}
              <span className="radio-label">{choice.label}</span>
            </span>
          </label>
        ))}
      </div>
    </fieldset>
  );
}

interface SliderProps {
  label: string;
  value: number;
  min: number;
  max: number;
  step: number;
  /** The value as it is written beside the slider and read aloud. */
  text: string;
  onChange: (value: number) => void;
  disabled?: boolean;
  compact?: boolean;
}

export function Slider({ label, value, min, max, step, text, onChange, disabled, compact }: SliderProps) {
  const id = useId();
  const share = ((value - min) / (max - min)) * 100;
  return (
    <div className={compact ? "slider slider-compact" : "slider"}>
      <label htmlFor={id} className="label">
        {label}
      </label>
      <output className="slider-text" htmlFor={id}>
        {text}
      </output>
      <input
        id={id}
        type="range"
        min={min}
        max={max}
        step={step}
        value={value}
        disabled={disabled}
        aria-valuetext={text}
        style={{ "--share": `${share}%` } as React.CSSProperties}
        onChange={(event) => onChange(Number(event.target.value))}
      />
    </div>
  );
}

export function ProgressBar({ value, label, waiting }: { value: number; label: string; waiting?: boolean }) {
  return (
    <div
      className={waiting ? "progress progress-waiting" : "progress"}
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={waiting ? undefined : Math.round(value * 100)}
    >
      <div className="progress-fill" style={{ transform: `scaleX(${waiting ? 0 : value})` }} />
    </div>
  );
}
