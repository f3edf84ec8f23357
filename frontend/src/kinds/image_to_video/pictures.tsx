/** Small moving pictures of what each choice does. CSS (moves.css) animates the layers by class. */

export function FormatPicture({ format }: { format: string }) {
  const [w = 1, h = 1] = format.split(":").map(Number);
  const scale = 26 / Math.max(w, h);
  const width = w * scale;
  const height = h * scale;
  return (
    <svg className="format-picture" viewBox="0 0 28 28" width={28} height={28} aria-hidden="true">
      <rect x={(28 - width) / 2} y={(28 - height) / 2} width={width} height={height} rx={2.5} />
    </svg>
  );
}

const Bottle = () => (
  <path d="M25.5 9h5v4.5c0 1.5 3 2.5 3 6V29a2 2 0 0 1-2 2h-7a2 2 0 0 1-2-2v-9.5c0-3.5 3-4.5 3-6z" />
);

/** Which way the camera goes, for who sees the picture still. */
const ARROWS: Record<string, string> = {
  "pan-left": "M15 9H5m3.5-3.5L5 9l3.5 3.5",
  "pan-right": "M41 9h10m-3.5-3.5L51 9l-3.5 3.5",
  "tilt-up": "M46 14V4m-3.5 3.5L46 4l3.5 3.5",
  "tilt-down": "M46 4v10m-3.5-3.5L46 14l3.5-3.5",
  "dolly-in": "M40 4l4 4m-3.5 0H44V4.5M52 16l-4-4m3.5 0H48v3.5",
  "dolly-out": "M41 5l4 4m-4-.5V5h3.5M51 15l-4-4m4 .5V15h-3.5",
  "orbit-left": "M15 33c4 4 22 4 27 0M15 33l4.5-.5M15 33l.5 4",
  "orbit-right": "M41 33c-4 4-22 4-27 0M41 33l-4.5-.5M41 33l-.5 4",
  "roll-left": "M49 12a5.5 5.5 0 1 0-9.5 1m0-3.5V13H43",
  "roll-right": "M39 12a5.5 5.5 0 1 1 9.5 1m0-3.5V13H45",
  static: "M43 5v8M49 5v8",
};

export function CameraPicture({ move }: { move: string }) {
  return (
    <svg className={`move-picture move-${move}`} viewBox="0 0 56 40" aria-hidden="true">
      <g className="move-scene">
        <g className="move-back">
          <path d="M-20 31H76M-20 31l16-10 12 7 10-9 14 10 12-8 14 7 16-9 12 12" />
        </g>
        <g className="move-product">
          <Bottle />
        </g>
      </g>
      {ARROWS[move] && <path className="move-arrow" d={ARROWS[move]} />}
      {move === "auto" && (
        <path className="move-spark" d="M46 4l1.3 3.7L51 9l-3.7 1.3L46 14l-1.3-3.7L41 9l3.7-1.3z" />
      )}
    </svg>
  );
}

export function SubjectPicture({ motion }: { motion: string }) {
  return (
    <svg className={`move-picture subject-${motion}`} viewBox="0 0 56 40" aria-hidden="true">
      <ellipse className="subject-shadow" cx="28" cy="34" rx="8" ry="1.5" />
      <g className="move-product">
        <Bottle />
        <path className="subject-light" d="M25 19.5h6v6h-6z" />
      </g>
      {motion === "auto" && (
        <path className="move-spark" d="M42 6l1.3 3.7L47 11l-3.7 1.3L42 16l-1.3-3.7L37 11l3.7-1.3z" />
      )}
    </svg>
  );
}
