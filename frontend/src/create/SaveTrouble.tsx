import { useLayoutEffect, useRef } from "react";
import { sentence } from "../api/client";
import { Button } from "../ui/controls";
import type { Mask } from "./useMask";

/** That the mask could not be saved, until it is; and what can be done about it. */
export const SaveTrouble = ({ mask }: { mask: Mask }) => mask.trouble && <Chip mask={mask} />;

function Chip({ mask: { trouble, save, retry } }: { mask: Mask }) {
  const chip = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    const here = chip.current;
    const main = here?.closest("main");
    // Its button goes with it: the keyboard goes on at the start of the page, not nowhere.
    return () => {
      if (here?.contains(document.activeElement)) main?.focus({ preventScroll: true });
    };
  }, []);
  return (
    <div ref={chip} className="stage-chip stage-chip-failed" role="alert">
      {trouble?.final ? (
        <span>Mask not saved. {sentence(trouble.error)}</span>
      ) : (
        <>
          Mask not saved
          {/* Not really disabled, which would take the focus from it. */}
          <Button look="quiet" icon="again" aria-disabled={save !== "failed"} onClick={retry}>
            Try again
          </Button>
        </>
      )}
    </div>
  );
}
