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

export function CameraPicture({ move }: { move: string }) {
  return (
    <svg className={`move-picture move-${move}`} viewBox="0 0 56 40" aria-hidden="true">
      <g className="move-scene">
        <g className="move-back">
          <path d="M-20 31H76M-20 31l16-10 12 7 10-9 14 10 12-8 14 7 16-9 12 12" />
          <circle cx="42" cy="10" r="3" />
        </g>
        <g className="move-product">
          <Bottle />
        </g>
      </g>
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
