import { type FormEvent, type ReactNode, useId } from "react";
import { Button } from "../ui/controls";
import { useFocusHere } from "../ui/hooks";
import { Callout } from "../ui/messages";
import { filled } from "./rows";

interface Props {
  /** What the form is for, to those who hear it. */
  title: string;
  className: string;
  /** What the name is called. */
  label: string;
  name: string;
  onName: (name: string) => void;
  /** Why it was not saved. */
  problem: string | null;
  busy: boolean;
  onSave: () => void;
  onClose: () => void;
  children: ReactNode;
}

/**
 * A form for something with a name: the name, what else there is to it, why it was not saved, and the two ways out.
 * While it is being saved its fields take nothing: what was typed then would go with the form. They are read-only, not
 * disabled, where that is possible, which would take the focus from who is in one of them.
 */
export function NamedForm(props: Props) {
  const id = useId();
  const first = useFocusHere<HTMLInputElement>();
  const submit = (event: FormEvent) => {
    event.preventDefault();
    props.onSave();
  };
  return (
    <form className={props.className} aria-label={props.title} onSubmit={submit}>
      <div className="field">
        <label className="label" htmlFor={id}>
          {props.label}
        </label>
        <input
          id={id}
          className="input"
          value={props.name}
          maxLength={200}
          required
          readOnly={props.busy}
          ref={first}
          onChange={(event) => props.onName(event.target.value)}
        />
      </div>
      {props.children}
      {props.problem && <Callout tone="error">{props.problem}</Callout>}
      <div className="form-end">
        <Button onClick={props.onClose}>Cancel</Button>
        <Button type="submit" look="primary" busy={props.busy} disabled={!filled(props.name)}>
          Save
        </Button>
      </div>
    </form>
  );
}
