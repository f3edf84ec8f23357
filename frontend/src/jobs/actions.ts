import { useQueryClient } from "@tanstack/react-query";
import { ApiError, sentence } from "../api/client";
import { updateJob } from "../api/jobs";
import { useCancelJob, useCreateJob, useDeleteAsset } from "../api/queries";
import type { Job, Settings } from "../api/types";
import { go } from "../app/router";
import { useDraft } from "../create/DraftProvider";
import { panelOf } from "../kinds";
import { useToast } from "../ui/messages";
import { attemptAt, attemptEnded } from "./attempt";
import { useArrival } from "./useArrival";
import { photoIsGone } from "./words";

/** The settings that give this very video again: what was asked, with the seed that was chosen for it. */
export function settingsOf(job: Job): Settings {
  const seed = job.result?.settings.seed;
  return seed === undefined ? job.settings : { ...job.settings, seed };
}

export function useJobActions(job: Job) {
  const create = useCreateJob();
  const cancel = useCancelJob();
  const remove = useDeleteAsset();
  const cache = useQueryClient();
  const tell = useToast();
  const { change } = useDraft();
  const panel = panelOf(job.kind);

  const arrival = useArrival();

  const start = async (name: string, settings: Settings) => {
    const { arrived } = arrival();
    const action = `${job.id} ${name}`;
    const attempt = attemptAt(action, settings);
    try {
      const { kind: _, ...rest } = attempt.body as Settings & { kind?: string };
      const made = await create.mutateAsync({
        kind: job.kind,
        settings: rest as Settings,
        attempt: attempt.name,
      });
      attemptEnded(action);
      arrived(made);
    } catch (error) {
      attemptEnded(action, error);
      tell(sentence(error), "error");
    }
  };

  const deleteVideo = async (id: string) => {
    try {
      await remove.mutateAsync(id);
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 404)) {
        tell(sentence(error), "error");
        return;
      }
      // Somebody else was faster: it is gone all the same.
    }
    updateJob(cache, job.id, (now) => ({ ...now, result: now.result && { ...now.result, asset: null } }));
    tell("Video deleted");
  };

  return {
    again: () => start("again", settingsOf(job)),
    vary: panel ? () => start("vary", panel.vary(settingsOf(job))) : null,
    cancel: () => cancel.mutateAsync(job.id).catch((error) => tell(sentence(error), "error")),
    use: () => {
      const { asset_id, ...others } = settingsOf(job);
      // Without its photo they go with the one that is on the stage.
      const settings = photoIsGone(job) ? others : { ...others, asset_id };
      change({ type: "use", kind: job.kind, settings });
      go("/");
    },
    deleteVideo,
    deleting: remove.isPending,
    starting: create.isPending,
    canceling: cancel.isPending || job.cancel_requested,
  };
}
