import { useRef } from "react";
import { sentence } from "../api/client";
import { useCancelJob, useCreateJob } from "../api/queries";
import type { Job, Settings } from "../api/types";
import { go } from "../app/router";
import { useDraft } from "../create/DraftProvider";
import { panelOf } from "../kinds";
import { attemptName } from "../ui/hooks";
import { useToast } from "../ui/messages";

/** The settings that give this very video again: what was asked, with the seed that was chosen for it. */
export function settingsOf(job: Job): Settings {
  const seed = job.result?.settings.seed;
  return seed === undefined ? job.settings : { ...job.settings, seed };
}

export function useJobActions(job: Job) {
  const create = useCreateJob();
  const cancel = useCancelJob();
  const tell = useToast();
  const { change } = useDraft();
  const panel = panelOf(job.kind);
  const attempts = useRef(new Map<string, string>());

  const start = async (name: string, settings: Settings) => {
    // One name until an answer came: two clicks, or a retry after a lost answer, make one job.
    const attempt = attempts.current.get(name) ?? attemptName();
    attempts.current.set(name, attempt);
    try {
      const { kind: _, ...rest } = settings as Settings & { kind?: string };
      const made = await create.mutateAsync({ kind: job.kind, settings: rest as Settings, attempt });
      go(`/videos/${made.id}`);
    } catch (error) {
      tell(sentence(error), "error");
    } finally {
      attempts.current.delete(name);
    }
  };

  return {
    again: () => start("again", settingsOf(job)),
    vary: panel ? () => start("vary", panel.vary(settingsOf(job))) : null,
    cancel: () => cancel.mutateAsync(job.id).catch((error) => tell(sentence(error), "error")),
    use: () => {
      change({ type: "use", kind: job.kind, settings: settingsOf(job) });
      go("/");
    },
    starting: create.isPending,
    canceling: cancel.isPending || job.cancel_requested,
  };
}
