import { ApiError, sentence } from "../api/client";
import type { Asset } from "../api/types";
import { Button } from "../ui/controls";
import { Callout } from "../ui/messages";
import type { FramingState } from "./useFraming";

interface Props {
  asset: Asset | null;
  framing: FramingState | null;
  /** The last press of Generate found something here that had not been read yet. */
  late: boolean;
}

/** What a member should know before Generate: what framing costs, and what is not known yet. */
export function Notes({ asset, framing, late }: Props) {
  return (
    <div aria-live="polite" className="generate-notes">
      {asset?.mask?.state === "pending" && (
        <Callout>
          The product is still being looked for. Wait to see its mask and the framing, or generate now: the
          video uses the automatic mask.
        </Callout>
      )}
      {framing?.framing?.notices.map((notice) => (
        <Callout key={notice.code + notice.message} tone="warn">
          {notice.message}
        </Callout>
      ))}
      {late && <Callout>This became known just now. Press Generate again to go on with it.</Callout>}
      {framing?.state === "failed" && (
        <Callout
          tone="warn"
          title="The framing could not be worked out"
          action={
            <Button icon="again" onClick={framing.retry}>
              Try again
            </Button>
          }
        >
          {sentence(framing.error)}
          {!isOffline(framing.error) && " You can generate without seeing it."}
        </Callout>
      )}
    </div>
  );
}

/** Who does not answer generates nothing either. */
const isOffline = (error: unknown): boolean => error instanceof ApiError && error.offline;
