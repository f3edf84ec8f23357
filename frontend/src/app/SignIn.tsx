import { type FormEvent, useEffect, useId, useState } from "react";
import { request, SESSION, sentence } from "../api/client";
import { Button } from "../ui/controls";
import { useTitle } from "../ui/hooks";
import { Callout } from "../ui/messages";
import { caches } from "./caches";
import mark from "./mark.svg";

interface SignInProps {
  /** Somebody was signed in here a moment ago. */
  ended: boolean;
  onSignedIn: () => Promise<unknown>;
}

/** Shown on every address while nobody is signed in; the address is kept for afterwards. */
export function SignIn({ ended, onSignedIn }: SignInProps) {
  useTitle("Sign in");
  useEffect(() => caches.forget(), []);
  const [problem, setProblem] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const id = useId();

  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    setBusy(true);
    setProblem(null);
    try {
      await request("POST", SESSION, {
        body: { email: form.get("email"), password: form.get("password") },
      });
      await onSignedIn();
    } catch (error) {
      setProblem(sentence(error));
    }
    setBusy(false);
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
        {problem ? (
          <Callout tone="error">{problem}</Callout>
        ) : (
          ended && (
            <Callout tone="warn" title="Your session has ended">
              Sign in again, and you are back on the page where you were.
            </Callout>
          )
        )}
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

/** A product, the window of its video, and the camera's path around it. */
const Art = () => (
  <svg viewBox="0 0 720 900" aria-hidden="true" preserveAspectRatio="xMidYMid slice">
    <rect className="art-table" x="-200" y="590" width="1200" height="400" />
    <circle className="art-sun" cx="500" cy="300" r="132" />
    <ellipse className="art-shadow" cx="366" cy="628" rx="128" ry="16" />
    <path
      className="art-bottle"
      d="M326 250h68v56c0 26 46 38 46 92v198c0 18-14 32-32 32h-96c-18 0-32-14-32-32V398c0-54 46-66 46-92z"
    />
    <rect className="art-cap" x="318" y="206" width="84" height="50" rx="8" />
    <path className="art-shine" d="M304 402c2-24 16-38 26-52v236" />
    <rect className="art-label" x="280" y="436" width="160" height="112" />
    <path className="art-mark" d="M322 478c13-14 26-14 39 0s26 14 39 0M322 504c13-14 26-14 39 0s26 14 39 0" />
    <path className="art-outside" fillRule="evenodd" d="M-300-300h1320v1500H-300zM190 120h340v604H190z" />
    <rect className="art-frame" x="190" y="120" width="340" height="604" rx="4" />
    <path className="art-path" d="M150 690C230 790 490 790 570 690" />
    <path className="art-path art-arrow" d="M570 690l-22 6M570 690l2 22" />
  </svg>
);
