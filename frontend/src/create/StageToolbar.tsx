import { useEffect } from "react";
import { useMayEdit } from "../app/member";
import { IconButton, RadioGroup, Slider } from "../ui/controls";
import { Icon } from "../ui/Icon";
import { isTyping } from "../ui/keys";
import type { SaveState } from "./saves";
import type { Mask } from "./useMask";
import { FITTED, type Viewport, zoomAt } from "./viewport";

export type Tool = "look" | "brush" | "eraser";

const SMALLEST = 0.006;
const LARGEST = 0.3;
const STEP = 1.25;

export const clampBrush = (size: number): number => Math.min(LARGEST, Math.max(SMALLEST, size));

interface ToolbarProps {
  mask: Mask;
  ready: boolean;
  tool: Tool;
  onTool: (tool: Tool) => void;
  brush: number;
  onBrush: (size: number) => void;
  showMask: boolean;
  onShowMask: (shown: boolean) => void;
  view: Viewport;
  onView: (change: (view: Viewport) => Viewport) => void;
}

export function StageToolbar(props: ToolbarProps) {
  const { mask, tool, onTool, brush, onBrush, showMask, onShowMask, view, onView } = props;
  useShortcuts(props);
  const { steps, undone } = mask.history;
  const mayEdit = useMayEdit();
  return (
    <div className="toolbar" role="toolbar" aria-label="Mask and view">
      {mayEdit && (
        <RadioGroup
          legend="Tool"
          hideLegend
          look="tabs"
          value={tool}
          onChange={onTool}
          choices={[
            {
              value: "look",
              label: "Framing",
              picture: <Icon name="crop" size={18} />,
              hint: "See the framing (V)",
            },
            {
              value: "brush",
              label: "Brush",
              picture: <Icon name="brush" size={18} />,
              hint: "Add to the product (B)",
            },
            {
              value: "eraser",
              label: "Eraser",
              picture: <Icon name="eraser" size={18} />,
              hint: "Take from the product (E)",
            },
          ]}
        />
      )}
      {tool !== "look" && (
        <Slider
          label="Size"
          compact
          min={0}
          max={100}
          step={1}
          value={sizeToStep(brush)}
          text={String(Math.max(1, sizeToStep(brush)))}
          onChange={(step) => onBrush(stepToSize(step))}
        />
      )}
      <div className="toolbar-group">
        {mayEdit && (
          <>
            <IconButton
              icon="undo"
              label="Undo"
              keys="Control+Z"
              disabled={steps.length === 0}
              onClick={() => mask.change({ type: "undo" })}
            />
            <IconButton
              icon="redo"
              label="Redo"
              keys="Control+Shift+Z"
              disabled={undone.length === 0}
              onClick={() => mask.change({ type: "redo" })}
            />
            <IconButton
              icon="reset"
              label="Back to the automatic mask"
              disabled={!mask.canReset}
              onClick={() => mask.change({ type: "reset" })}
            />
          </>
        )}
        <IconButton
          icon="eye"
          label="Show the mask"
          keys="M"
          pressed={showMask}
          onClick={() => onShowMask(!showMask)}
        />
      </div>
      <div className="toolbar-group">
        <IconButton
          icon="zoomOut"
          label="Zoom out"
          keys="-"
          disabled={view.scale === 1}
          onClick={() => onView((now) => zoomAt(now, 1 / 1.5, 0, 0))}
        />
        <IconButton
          icon="zoomIn"
          label="Zoom in"
          keys="+"
          onClick={() => onView((now) => zoomAt(now, 1.5, 0, 0))}
        />
        <IconButton
          icon="fit"
          label="Fit"
          keys="0"
          disabled={view.scale === 1}
          onClick={() => onView(() => FITTED)}
        />
      </div>
      <SaveNote state={mask.save} />
    </div>
  );
}

/** That it failed is told on the stage, with what can be done about it. */
const SAVE_WORDS: Record<SaveState, string> = {
  saved: "",
  waiting: "Saving mask…",
  saving: "Saving mask…",
  failed: "",
};

const SaveNote = ({ state }: { state: SaveState }) => (
  <span className="save-note" role="status">
    {SAVE_WORDS[state]}
  </span>
);

/** The slider is even to the eye: each step changes the size by the same factor. */
const sizeToStep = (size: number) =>
  Math.round((100 * Math.log(size / SMALLEST)) / Math.log(LARGEST / SMALLEST));
const stepToSize = (step: number) => SMALLEST * (LARGEST / SMALLEST) ** (step / 100);

/** Single keys, but never while text is typed; a dialog keeps its keys too. */
function useShortcuts({
  mask,
  ready,
  onTool,
  brush,
  onBrush,
  showMask,
  onShowMask,
  onView,
}: ToolbarProps): void {
  useEffect(() => {
    const paint = (next: Tool) => ready && onTool(next);
    const keys: Record<string, () => void> = {
      "[": () => onBrush(brush / STEP),
      "]": () => onBrush(brush * STEP),
      v: () => onTool("look"),
      b: () => paint("brush"),
      e: () => paint("eraser"),
      m: () => onShowMask(!showMask),
      "+": () => onView((now) => zoomAt(now, 1.5, 0, 0)),
      "=": () => onView((now) => zoomAt(now, 1.5, 0, 0)),
      "-": () => onView((now) => zoomAt(now, 1 / 1.5, 0, 0)),
      "0": () => onView(() => FITTED),
    };
    const listen = (event: KeyboardEvent) => {
      if (isTyping(event.target)) return;
      const key = event.key.toLowerCase();
      if ((event.ctrlKey || event.metaKey) && (key === "z" || key === "y")) {
        event.preventDefault();
        mask.change({ type: key === "y" || event.shiftKey ? "redo" : "undo" });
        return;
      }
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      keys[key]?.();
    };
    window.addEventListener("keydown", listen);
    return () => window.removeEventListener("keydown", listen);
  }, [mask, ready, onTool, brush, onBrush, showMask, onShowMask, onView]);
}
