import { type FormEvent, useId, useState } from "react";
import { sentence } from "../api/client";
import type { MadeApiKey } from "../api/types";
import { useMakeApiKey } from "../api/workspace";
import { type Role, rolesUpTo, useMember } from "../app/member";
import { CopyButton } from "../ui/CopyButton";
import { Button, IconButton } from "../ui/controls";
import { Callout } from "../ui/messages";
import { RoleChoice } from "./RoleChoice";

export function MakeKey({ onMade }: { onMade: (key: MadeApiKey) => void }) {
  const make = useMakeApiKey();
  const [role, setRole] = useState<Role>("editor");
  const id = useId();
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = event.currentTarget;
    const name = String(new FormData(form).get("name")).trim();
    make.mutate(
      { name, role },
      {
        onSuccess: (key) => {
          form.reset();
          onMade(key);
        },
      },
    );
  };
  return (
    <form className="plate make-key" aria-label="Make an API key" onSubmit={submit}>
      <div className="field">
        <label className="label" htmlFor={`${id}-name`}>
          Name
        </label>
        <input
          id={`${id}-name`}
          className="input"
          name="name"
          placeholder="Which program will use it"
          maxLength={200}
          pattern=".*\S.*"
          title="A name, not spaces alone"
          required
          readOnly={make.isPending}
        />
      </div>
      <div className="field">
        <label className="label" htmlFor={`${id}-role`}>
          Role
        </label>
        <RoleChoice id={`${id}-role`} value={role} roles={rolesUpTo(useMember().role)} onChange={setRole} />
      </div>
      <Button type="submit" look="primary" icon="plus" busy={make.isPending}>
        Make a key
      </Button>
      {make.isError && <Callout tone="error">{sentence(make.error)}</Callout>}
    </form>
  );
}

export function NewKey({ of, onClose }: { of: MadeApiKey; onClose: () => void }) {
  return (
    <div role="status" className="new-link">
      <Callout
        title={`The key of ${of.name}`}
        action={<IconButton icon="close" label="Dismiss" onClick={onClose} />}
      >
        Keep it where the program reads it. It is shown only now.
        <span className="link-line">
          <code className="mono">{of.key}</code>
          <CopyButton what="key" value={of.key} />
        </span>
      </Callout>
    </div>
  );
}
