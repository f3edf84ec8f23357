import type { Job } from "../api/types";
import { go } from "../app/router";
import { type Tell, useToast } from "../ui/messages";

/**
 * Where the answer to a started video finds its member: on the page that asked, which gives way to the video; or on
 * another by now, where a word with a way to it must do. Call `asking` when the video is asked for.
 */
export const useArrival = () => {
  const tell = useToast();
  return () => asking(tell);
};

export function asking(tell: Tell) {
  const asked = window.location.pathname;
  const stayed = () => window.location.pathname === asked;
  return {
    arrived: (job: Job) => {
      const show = () => go(`/videos/${job.id}`);
      if (stayed()) show();
      else tell("Your video was started.", "info", { label: "Show it", act: show });
    },
    /** Says it here, unless the page that asked is still there to say it. */
    failed: (text: string) => {
      if (!stayed()) tell(text, "error");
    },
  };
}
