import { type ReactNode, useEffect, useId, useRef } from "react";
import { Button } from "./controls";

const CONFIRMED = "confirmed";

interface ConfirmProps {
  title: string;
  children: ReactNode;
  action: string;
  onConfirm: () => void;
  onClose: () => void;
}

/**
 * Asks before something that cannot be taken back. The browser's dialog keeps the focus inside, and gives it back to
 * where it was: so it closes by itself before anything happens to it. Escape keeps.
 */
export function Confirm({ title, children, action, onConfirm, onClose }: ConfirmProps) {
  const ref = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useEffect(() => ref.current?.showModal(), []);
  const closed = () => (ref.current?.returnValue === CONFIRMED ? onConfirm() : onClose());
  return (
    <dialog ref={ref} className="dialog" aria-labelledby={heading} onClose={closed}>
      <h2 id={heading}>{title}</h2>
      <p>{children}</p>
      <div className="dialog-actions">
        <Button onClick={() => ref.current?.close()}>Keep</Button>
        <Button look="danger" onClick={() => ref.current?.close(CONFIRMED)}>
          {action}
        </Button>
      </div>
    </dialog>
  );
}
