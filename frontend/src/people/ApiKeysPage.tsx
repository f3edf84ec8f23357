import { useState } from "react";
import { sentence } from "../api/client";
import type { ApiKey, MadeApiKey } from "../api/types";
import { useApiKeys, useRevokeApiKey } from "../api/workspace";
import { aRole, mayManage, useMember } from "../app/member";
import { Confirm } from "../ui/Confirm";
import { IconButton } from "../ui/controls";
import { ago, facts } from "../ui/format";
import { useNow, useTitle } from "../ui/hooks";
import { Icon } from "../ui/Icon";
import { Empty, useToast } from "../ui/messages";
import { InPages } from "../ui/Pages";
import { MakeKey, NewKey } from "./MakeKey";

/** The machines that use the studio by its REST interface, for the workspace's administrators. */
export function ApiKeysPage() {
  useTitle("API keys");
  const { role } = useMember();
  if (!mayManage(role))
    return (
      <Empty icon="key" title="For administrators">
        {`You are ${aRole(role)} of this workspace. Its administrators make keys for programs that use the studio.`}
      </Empty>
    );
  return <ApiKeys />;
}

function ApiKeys() {
  const found = useApiKeys();
  const [made, setMade] = useState<MadeApiKey | null>(null);
  return (
    <div className="narrow">
      <div className="page-head">
        <h1>API keys</h1>
        <a className="button button-plain" href="/api/v1/schema" download="aquarius-studio.yaml">
          <Icon name="download" /> <span>OpenAPI document</span>
        </a>
      </div>
      <p className="muted page-note">
        With a key a program does over REST what people do on these pages. It can do no more than whoever made
        it, and ends when they leave the workspace.
      </p>
      <MakeKey onMade={setMade} />
      {made && <NewKey of={made} onClose={() => setMade(null)} />}
      <InPages of={found} waiting="Loading API keys">
        {(keys) =>
          keys.length === 0 ? (
            <Empty icon="key" title="No API key yet">
              Make one for each program, so that each can be stopped alone.
            </Empty>
          ) : (
            <ul className="people">
              {keys.map((key) => (
                <Key
                  key={key.id}
                  of={key}
                  onRevoked={() => setMade((shown) => (shown?.id === key.id ? null : shown))}
                />
              ))}
            </ul>
          )
        }
      </InPages>
    </div>
  );
}

function Key({ of: key, onRevoked }: { of: ApiKey; onRevoked: () => void }) {
  const revoke = useRevokeApiKey();
  const tell = useToast();
  const now = useNow(30_000);
  const [asking, setAsking] = useState(false);
  const maker = key.created_by && (key.created_by.name || key.created_by.email);
  return (
    <li className={key.revoked_at ? "person api-key api-key-revoked" : "person api-key"}>
      <span className="person-mark" aria-hidden="true">
        <Icon name="key" />
      </span>
      <div className="person-name">
        <strong dir="auto">{key.name}</strong>
        <span className="tag">{key.revoked_at ? "revoked" : key.role}</span>
        <span className="small muted">
          <span className="mono">aq_{key.prefix}_…</span>
          {`\u2002·\u2002${facts(
            `made ${ago(key.created_at, now)}${maker ? ` by ${maker}` : ""}`,
            key.last_used_at ? `used ${ago(key.last_used_at, now)}` : "not used yet",
          )}`}
        </span>
      </div>
      {!key.revoked_at && (
        <IconButton icon="trash" label={`Revoke ${key.name}`} onClick={() => setAsking(true)} />
      )}
      {asking && (
        <Confirm
          title={`Revoke “${key.name}”?`}
          action="Revoke key"
          onClose={() => setAsking(false)}
          onConfirm={() => {
            setAsking(false);
            revoke.mutate(key.id, {
              onSuccess: () => {
                onRevoked();
                tell(`${key.name} was revoked`);
              },
              onError: (error) => tell(sentence(error), "error"),
            });
          }}
        >
          Whatever uses it is refused from now on, and for ever.
        </Confirm>
      )}
    </li>
  );
}
