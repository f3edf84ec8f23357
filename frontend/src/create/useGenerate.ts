import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { ApiError, sentence } from "../api/client";
import { keys } from "../api/keys";
import { useCreateJob } from "../api/queries";
import type { Asset, Settings } from "../api/types";
import { useLookOnly } from "../app/member";
import { attemptAt, attemptEnded, isAnswer } from "../jobs/attempt";
import { useArrival } from "../jobs/useArrival";
import { useDraft } from "./DraftProvider";
import { type FramingState, saysMore } from "./useFraming";
import type { Mask } from "./useMask";

/** What a press of Generate does, as far as it has come. */
export function useGenerate(asset: Asset | null, framing: FramingState | null, mask: Mask | null) {
  const { draft } = useDraft();
  const create = useCreateJob();
  const cache = useQueryClient();
  const lookOnly = useLookOnly();
  const arrival = useArrival();
  const [busy, setBusy] = useState(false);
  const [late, setLate] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);

  // What was refused is being corrected: the refusal speaks of something that is not there any more.
  const values = draft.kind ? draft.values[draft.kind] : undefined;
  // biome-ignore lint/correctness/useExhaustiveDependencies: what they are is not read, only that they change
  useEffect(() => setProblem(null), [draft.kind, JSON.stringify(values), asset?.id]);

  const start = async (kind: string, chosen: Settings, { arrived, failed }: ReturnType<typeof arrival>) => {
    let asked: string | null = null;
    try {
      await mask?.flush();
      // By its name, so that the video is made with the mask on the stage, whatever was painted elsewhere.
      const id = mask?.id() ?? null;
      const settings = id === null ? chosen : { ...chosen, mask: id };
      // The same request again after a lost answer must not start a second job.
      asked = `generate ${JSON.stringify([kind, settings])}`;
      const job = await create.mutateAsync({ kind, settings, attempt: attemptAt(asked, settings).name });
      attemptEnded(asked);
      arrived(job);
    } catch (error) {
      if (asked) attemptEnded(asked, error);
      const problem = problemOf(error, asked !== null);
      if (problem.maskIsGone) void cache.invalidateQueries({ queryKey: keys.asset(chosen.asset_id) });
      failed(`${problem.title}. ${problem.text}`);
      setProblem(problem);
      setBusy(false);
    }
  };

  const generate = async () => {
    if (!asset || !draft.kind || busy || lookOnly) return;
    const { kind: _, ...values } = draft.values[draft.kind] ?? {};
    const told = arrival();
    setBusy(true);
    setProblem(null);
    setLate(false);
    const settled = await framing?.settled();
    if (settled && saysMore(settled.framing, framing?.framing ?? null)) {
      setLate(true);
      setBusy(false);
      told.failed(
        "Nothing was started. Something became known of the framing: look at it, then press Generate again.",
      );
      return;
    }
    await start(draft.kind, { ...values, asset_id: asset.id }, told);
  };

  return { generate, busy, late, problem };
}

interface Problem {
  title: string;
  text: string;
  /** By dotted path. */
  fields: Record<string, string>;
  maskIsGone: boolean;
}

/** What to say of an error; `asked`: the video was asked for, not only its mask saved. */
export function problemOf(error: unknown, asked: boolean): Problem {
  const fields = fieldProblems(error);
  const maskIsGone = "mask" in fields;
  if (asked && isOpen(error))
    return {
      title: "No answer came",
      text: "The video may have been started all the same. Press Generate again to see: it starts no second one.",
      fields,
      maskIsGone,
    };
  const text = maskIsGone
    ? "The mask was changed elsewhere. Look at the new one, then press Generate again."
    : sentence(error);
  return { title: "Nothing was started", text, fields, maskIsGone };
}

/** Whether it is not known what the studio did. What it refuses in words of its own, it did not do. */
const isOpen = (error: unknown): boolean =>
  !isAnswer(error) &&
  !(error instanceof ApiError && !["offline", "error", "internal_error"].includes(error.code));

/** "settings.camera.strength" or "camera.strength" -> what is wrong with it. */
function fieldProblems(error: unknown): Record<string, string> {
  if (!(error instanceof ApiError)) return {};
  return Object.fromEntries(error.errors.map((one) => [one.field.replace(/^settings\./, ""), one.detail]));
}
