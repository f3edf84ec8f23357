import { type FormEvent, useId, useState } from "react";
import { sentence } from "../api/client";
import type { AddedMember } from "../api/types";
import { useAddMember } from "../api/workspace";
import { type Role, rolesUpTo, useMember } from "../app/member";
import { CopyButton } from "../ui/CopyButton";
import { Button, IconButton } from "../ui/controls";
import { Callout } from "../ui/messages";
import { RoleChoice } from "./RoleChoice";

/** Who is not known to the studio yet gets an account, and a sign-in link that is shown once. */
export function AddPerson({ onAdded }: { onAdded: (member: AddedMember) => void }) {
  const add = useAddMember();
  const [role, setRole] = useState<Role>("editor");
  const id = useId();
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = event.currentTarget;
    const said = new FormData(form);
    const body = { email: String(said.get("email")).trim(), name: String(said.get("name")).trim(), role };
    add.mutate(body, {
      onSuccess: (member) => {
        form.reset();
        onAdded(member);
      },
    });
  };
  return (
    <form className="plate add-person" aria-label="Add a person" onSubmit={submit}>
      <div className="field">
        <label className="label" htmlFor={`${id}-email`}>
          E-mail
        </label>
        <input
          id={`${id}-email`}
          className="input"
          name="email"
          type="email"
          maxLength={254}
          required
          readOnly={add.isPending}
        />
      </div>
      <div className="field">
        <label className="label" htmlFor={`${id}-name`}>
          Name <span className="muted">optional</span>
        </label>
        <input id={`${id}-name`} className="input" name="name" maxLength={200} readOnly={add.isPending} />
      </div>
      <div className="field">
        <label className="label" htmlFor={`${id}-role`}>
          Role
        </label>
        <RoleChoice id={`${id}-role`} value={role} roles={rolesUpTo(useMember().role)} onChange={setRole} />
      </div>
      <Button type="submit" look="primary" icon="plus" busy={add.isPending}>
        Add
      </Button>
      {add.isError && <Callout tone="error">{sentence(add.error)}</Callout>}
    </form>
  );
}

export function NewLink({ of, onClose }: { of: AddedMember; onClose: () => void }) {
  const name = of.user.name || of.user.email;
  const link = of.sign_in_url;
  return (
    <div role="status" className="new-link">
      <Callout
        title={`${name} was added`}
        action={<IconButton icon="close" label="Dismiss" onClick={onClose} />}
      >
        {link ? (
          <>
            Send them this link. It signs them in once, and is shown only now.
            <span className="link-line">
              <code className="mono">{link}</code>
              <CopyButton what="link" value={link} />
            </span>
          </>
        ) : (
          "They have an account already, and see this workspace when they next sign in."
        )}
      </Callout>
    </div>
  );
}
