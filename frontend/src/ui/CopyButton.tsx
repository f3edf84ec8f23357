import { IconButton } from "./controls";
import { useToast } from "./messages";

/** Copies `value`; `what` it is, as within a sentence. Nothing where the browser gives no clipboard: over plain HTTP. */
export function CopyButton({ what, value }: { what: string; value: string }) {
  const tell = useToast();
  if (!navigator.clipboard) return null;
  const copy = () =>
    navigator.clipboard.writeText(value).then(
      () => tell(`${what.charAt(0).toUpperCase()}${what.slice(1)} copied`),
      () => tell("The browser did not allow copying.", "error"),
    );
  return <IconButton icon="copy" label={`Copy the ${what}`} onClick={copy} />;
}
