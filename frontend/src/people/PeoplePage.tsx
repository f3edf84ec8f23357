import { useState } from "react";
import { sentence } from "../api/client";
import type { AddedMember, Member } from "../api/types";
import { useChangeRole, useMembers, useRemoveMember } from "../api/workspace";
import { aRole, mayManage, rolesUpTo, useMember } from "../app/member";
import { Confirm } from "../ui/Confirm";
import { IconButton } from "../ui/controls";
import { useTitle } from "../ui/hooks";
import { Empty, useToast } from "../ui/messages";
import { InPages } from "../ui/Pages";
import { AddPerson, NewLink } from "./AddPerson";
import { RoleChoice } from "./RoleChoice";
import { MAY } from "./words";

/** Who belongs to the workspace and what each may do, for its administrators. */
export function PeoplePage() {
  useTitle("People");
  const { role } = useMember();
  if (!mayManage(role))
    return (
      <Empty icon="people" title="For administrators">
        {`You are ${aRole(role)} of this workspace. Its administrators add people and give them their roles.`}
      </Empty>
    );
  return <People />;
}

function People() {
  const members = useMembers();
  const [added, setAdded] = useState<AddedMember | null>(null);
  return (
    <div className="narrow">
      <div className="page-head">
        <h1>People</h1>
      </div>
      <AddPerson onAdded={setAdded} />
      {added && <NewLink of={added} onClose={() => setAdded(null)} />}
      <InPages of={members} waiting="Loading people">
        {(people) => (
          <ul className="people">
            {people.map((person) => (
              <Person key={person.id} person={person} />
            ))}
          </ul>
        )}
      </InPages>
      <dl className="may">
        {Object.entries(MAY).map(([role, may]) => (
          <div key={role}>
            <dt>{role}</dt>
            <dd>{may}</dd>
          </div>
        ))}
      </dl>
    </div>
  );
}

function Person({ person }: { person: Member }) {
  const { session, role } = useMember();
  const change = useChangeRole();
  const remove = useRemoveMember();
  const tell = useToast();
  const [asking, setAsking] = useState(false);
  const name = person.user.name || person.user.email;
  const me = person.user.id === session.user.id;
  const mine = rolesUpTo(role);
  const above = !mine.includes(person.role);
  const failed = (error: unknown) => tell(sentence(error), "error");
  return (
    <li className="person">
      <span className="person-mark" aria-hidden="true">
        {Array.from(name)[0]?.toUpperCase()}
      </span>
      <div className="person-name">
        <strong dir="auto">{name}</strong>
        {me && <span className="tag">you</span>}
        {person.user.name && <span className="small muted">{person.user.email}</span>}
      </div>
      <RoleChoice
        label={`Role of ${name}`}
        value={change.isPending ? (change.variables?.role ?? person.role) : person.role}
        roles={above ? [person.role] : mine}
        disabled={above || change.isPending}
        onChange={(wanted) =>
          change.mutate(
            { id: person.id, role: wanted },
            { onSuccess: () => tell(`${name} is now ${wanted}`), onError: failed },
          )
        }
      />
      <IconButton icon="trash" label={`Remove ${name}`} disabled={above} onClick={() => setAsking(true)} />
      {asking && (
        <Confirm
          title={me ? "Leave this workspace?" : `Remove ${name}?`}
          action={me ? "Leave" : "Remove"}
          onClose={() => setAsking(false)}
          onConfirm={() => {
            setAsking(false);
            remove.mutate(person.id, { onSuccess: () => tell(`${name} was removed`), onError: failed });
          }}
        >
          What was made stays. {me ? "You" : "They"} can be added again later.
        </Confirm>
      )}
    </li>
  );
}
