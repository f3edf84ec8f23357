import { useEffect, useRef } from "react";
import type { Job } from "../api/types";
import { go } from "../app/router";
import { type Tell, useToast } from "../ui/messages";

/**
 * Where the answer to a started video finds its member: at the controls that asked, which give way to the video; or
 * elsewhere by now, at another page or photo, where a word with a way to it must do.
 */
export const useArrival = () => {
  const tell = useToast();
  const here = useRef(true);
  useEffect(() => {
    here.current = true;
    return () => {
      here.current = false;
    };
  }, []);
  return () => asking(tell, () => here.current);
};

/** `stayed`: whether the controls that asked are still on the page. */
export const asking = (tell: Tell, stayed: () => boolean) => ({
  arrived: (job: Job) => {
    const show = () => go(`/videos/${job.id}`);
    if (stayed()) show();
    else tell("Your video was started.", "info", { label: "Show it", act: show });
  },
  /** Says it here, unless what asked is still there to say it. */
  failed: (text: string) => {
    if (!stayed()) tell(text, "error");
  },
});
