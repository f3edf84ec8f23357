import { type ReactNode, useState } from "react";
import { request, SESSION, sentence } from "../api/client";
import { useUnsaved } from "../create/UnsavedProvider";
import { useUploads } from "../create/UploadProvider";
import { Confirm } from "../ui/Confirm";
import { useToast } from "../ui/messages";
import { kept } from "./kept";
import { useMember } from "./member";

/** What is still on its way gets this long to arrive. */
const PATIENCE_MS = 5000;

/** Signs out; before that, sends what is not saved, and asks where something would be lost. */
export function useSignOut(): { signOut: () => void; busy: boolean; question: ReactNode } {
  const user = useMember().session.user.id;
  const masks = useUnsaved();
  const { uploads, cancel } = useUploads();
  const tell = useToast();
  const [state, setState] = useState<"idle" | "busy" | "asking">("idle");

  const leave = async () => {
    setState("busy");
    try {
      await request("DELETE", SESSION);
    } catch (error) {
      setState("idle");
      tell(sentence(error), "error");
      return;
    }
    cancel();
    kept.forget(user);
    // A moment later, when the page has taken back its own question before it is left.
    window.setTimeout(() => window.location.reload());
  };
  const signOut = async () => {
    setState("busy");
    const late = new Promise((resolve) => window.setTimeout(resolve, PATIENCE_MS));
    await Promise.race([masks.flush(), late]);
    if (kept.unsaved(user) || uploads.length > 0) setState("asking");
    else await leave();
  };

  const question = state === "asking" && (
    <Confirm
      title="Sign out and lose what is not saved?"
      action="Sign out"
      onClose={() => setState("idle")}
      onConfirm={leave}
    >
      A painted mask, a form that was begun or a photo on its way has not arrived in the studio. It is lost
      when you sign out.
    </Confirm>
  );
  return { signOut: () => void signOut(), busy: state === "busy", question };
}
