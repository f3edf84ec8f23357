import { type FormEvent, useId, useState } from "react";
import { request, sentence } from "../api/client";
import { Button } from "../ui/controls";
import { Callout } from "../ui/messages";
import mark from "./mark.svg";

/** Shown on every address while nobody is signed in; the address is kept for afterwards. */
export function SignIn({ onSignedIn }: { onSignedIn: () => void }) {
  const [problem, setProblem] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const id = useId();

  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    setBusy(true);
    setProblem(null);
    try {
      await request("POST", "/session", {
        body: { email: form.get("email"), password: form.get("password") },
      });
      onSignedIn();
    } catch (error) {
      setProblem(sentence(error));
      setBusy(false);
    }
  };

  return (
    <div className="sign-in">
      <main className="sign-in-form">
        <span className="brand">
          <img src={mark} alt="" />
          Aquarius Studio
        </span>
        <div>
          <h1>Sign in</h1>
          <p className="muted">From a product photo to a finished video.</p>
        </div>
        {problem && <Callout tone="error">{problem}</Callout>}
        <form onSubmit={submit}>
          <div className="field">
            <label className="label" htmlFor={`${id}-email`}>
              E-mail
            </label>
            <input
              id={`${id}-email`}
              className="input"
              name="email"
              type="email"
              autoComplete="username"
              required
              aria-invalid={problem !== null}
            />
          </div>
          <div className="field">
            <label className="label" htmlFor={`${id}-password`}>
              Password
            </label>
            <input
              id={`${id}-password`}
              className="input"
              name="password"
              type="password"
              autoComplete="current-password"
              required
              aria-invalid={problem !== null}
            />
          </div>
          <Button type="submit" look="primary" className="button-large" busy={busy}>
            Sign in
          </Button>
        </form>
        <Callout title="Running the studio on this machine?">
          Its terminal shows a sign-in link. Open it in this browser: it works once, and each start of the
          studio prints a new one.
        </Callout>
      </main>
      <div className="sign-in-art" aria-hidden="true">
        <Art />
      </div>
    </div>
  );
}

/** A product in its frame, with the camera's path around it. */
const Art = () => (
  <svg viewBox="0 0 720 900" aria-hidden="true" preserveAspectRatio="xMidYMid slice">
    <g className="art-lines">
      {[0, 1, 2, 3, 4, 5, 6].map((row) => (
        <path key={row} d={`M-40 ${560 + row * 48} q 200 ${-70 + row * 6} 400 0 t 400 0`} />
      ))}
    </g>
    <rect className="art-frame" x="190" y="140" width="340" height="604" rx="20" />
    <ellipse className="art-shadow" cx="360" cy="612" rx="96" ry="14" />
    <path
      className="art-bottle"
      d="M326 262h68v52c0 22 44 34 44 84v182c0 18-14 32-32 32H314c-18 0-32-14-32-32V398c0-50 44-62 44-84z"
    />
    <rect className="art-cap" x="320" y="222" width="80" height="44" rx="8" />
    <rect className="art-label" x="282" y="440" width="156" height="104" />
    <path className="art-path" d="M150 660 C 230 740 490 740 570 660" />
    <circle className="art-dot" cx="570" cy="660" r="9" />
  </svg>
);
